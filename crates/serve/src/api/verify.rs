use super::asked::Asked;
use super::picture::{Kind, Sent, Two, check, json, unsupported};
use super::said::{Verdict, check_far, verdict};
use crate::refusal::{Answered, Refusal};
use crate::shelf::Looked;
use crate::state::Shared;
use axum::Json;
use axum::extract::{Request, State};
use npair_index::{Error, Index};
use npair_similarity::{Exclude, Rows};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(crate) struct Question {
    far: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    vectors: [Vec<f32>; 2],
}

#[derive(Serialize)]
pub(crate) struct Verified {
    similarity: f32,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Whether two pictures or vectors are of one class.
pub(crate) async fn verify(
    State(common): State<Shared>,
    Asked(Question { far }): Asked<Question>,
    request: Request,
) -> Answered<Json<Verified>> {
    check_far(far)?;
    let far = far.or(common.settings.far);
    let Sent { kind, whole } = Sent::read(&common, request).await?;
    let deadline = common.embedding.deadline();
    let [a, b] = match kind {
        Kind::Picture => return Err(unsupported()),
        Kind::Json => {
            let Vectors { vectors } = json(&whole.bytes)?;
            vectors.iter().try_for_each(|vector| check(vector))?;
            vectors
        }
        Kind::Parts(boundary) => Two::of(whole, boundary).await?.vectors(&common, deadline).await?,
    };
    let look = move |index: &Index| {
        let similarity = similarity(index, &a, &b)?;
        Ok(Verified { similarity, verdict: verdict(index, similarity, far)? })
    };
    Ok(Json(common.look(deadline, look).await?))
}

fn similarity(index: &Index, a: &[f32], b: &[f32]) -> Result<f32, Looked> {
    for vector in [a, b] {
        if vector.len() != index.width() {
            let (got, want) = (vector.len(), index.width());
            return Err(Refusal::unfit(format!("a vector has {got} values, but those of the index have {want}")).into());
        }
    }
    let rows = |values| Rows::new(values, index.width()).map_err(Error::from);
    let near = rows(a)?.top_k(rows(b)?, index.measure(), 1, Exclude::Nothing).map_err(Error::from)?;
    let similarity = near.similarity(0).first().copied();
    similarity.ok_or_else(|| Refusal::unfit("the two cannot be compared").into())
}

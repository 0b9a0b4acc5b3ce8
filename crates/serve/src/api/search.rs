use super::asked::Asked;
use super::picture::{Sent, vector};
use super::said::{Said, check_far, said};
use crate::refusal::{Answered, Refusal};
use crate::state::Shared;
use axum::Json;
use axum::extract::{Request, State};
use npair_index::RowFilter;
use npair_similarity::Rows;
use serde::{Deserialize, Serialize};

/// Answers unless a number is asked for, and at most.
const USUAL: usize = 10;
const MOST: usize = 1000;

#[derive(Deserialize)]
pub(crate) struct Question {
    k: Option<usize>,
    class: Option<String>,
    far: Option<f64>,
}

#[derive(Serialize)]
pub(crate) struct Answers {
    answers: Vec<Said>,
}

/// The rows nearest to a picture or vector.
pub(crate) async fn search(
    State(common): State<Shared>,
    Asked(question): Asked<Question>,
    request: Request,
) -> Answered<Json<Answers>> {
    let k = question.k.unwrap_or(USUAL);
    if !(1..=MOST).contains(&k) {
        return Err(Refusal::wrong(format!("`k` is {k}, but has to be from 1 to {MOST}")));
    }
    check_far(question.far)?;
    let far = question.far.or(common.settings.far);
    let class = question.class.filter(|class| !class.is_empty());
    let sent = Sent::read(&common, request).await?;
    let deadline = common.embedding.deadline();
    let (vector, _) = vector(&common, deadline, sent, false).await?;
    let look = move |index: &npair_index::Index| {
        let query = Rows::new(&vector, vector.len()).map_err(npair_index::Error::from)?;
        let filter = class.as_deref().map_or(RowFilter::All, RowFilter::Class);
        let found = index.search(query, k, filter)?;
        found.iter().flatten().map(|answer| said(index, answer, far)).collect()
    };
    Ok(Json(Answers { answers: common.look(deadline, look).await? }))
}

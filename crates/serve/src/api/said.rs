//! What is said of an answer, and of two vectors.

use crate::refusal::Refusal;
use crate::shelf::Looked;
use npair_index::{Answer, Index};
use npair_metrics::{Decision, Verifier};
use serde::Serialize;

/// A row near a query.
#[derive(Debug, Serialize)]
pub(crate) struct Said {
    id: u64,
    path: String,
    class: Option<String>,
    similarity: f32,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Whether two are of one class; all null where the index does not know.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    matches: Option<bool>,
    threshold: Option<f64>,
    probability: Option<f64>,
}

impl From<Decision> for Verdict {
    fn from(Decision { matches, threshold, probability }: Decision) -> Self {
        Self { matches: Some(matches), threshold: Some(threshold), probability }
    }
}

pub(crate) fn said(index: &Index, answer: &Answer, far: Option<f64>) -> Result<Said, Looked> {
    let verdict = verdict(index, answer.similarity, far)?;
    let (row, similarity) = (answer.row, answer.similarity);
    let class = row.class.as_deref().map(str::to_owned);
    Ok(Said { id: row.id, path: row.path.to_string(), class, similarity, verdict })
}

/// What the index's thresholds say of a similarity, at a rate that is asked for or the usual one.
pub(crate) fn verdict(index: &Index, similarity: f32, far: Option<f64>) -> Result<Verdict, Looked> {
    match index.verifier() {
        None if far.is_some() => Err(Refusal::unfit("the index has no thresholds: leave `far` out").into()),
        None => Ok(Verdict::default()),
        Some(verifier) => match far.or_else(|| usual(verifier)) {
            Some(far) => Ok(verifier.decide(f64::from(similarity), far)?.into()),
            None => Ok(Verdict::default()),
        },
    }
}

/// The rate that decides unless another is asked for: the usual one, or the lowest that is known.
pub(crate) fn usual(verifier: &Verifier) -> Option<f64> {
    match verifier.threshold(Verifier::USUAL) {
        Ok(_) => Some(Verifier::USUAL),
        Err(_) => verifier.thresholds.first().map(|threshold| threshold.far),
    }
}

/// 400 for a rate that is none.
pub(crate) fn check_far(far: Option<f64>) -> Result<(), Refusal> {
    match far {
        Some(far) if !(0. ..=1.).contains(&far) => Err(Refusal::wrong("`far` is a rate from 0 to 1")),
        _ => Ok(()),
    }
}

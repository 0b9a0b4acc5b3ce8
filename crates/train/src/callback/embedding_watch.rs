use super::{Callback, Moment, PartState};
use crate::{Error, Result, StepReport};
use candle_core::{DType, Device, Tensor};
use npair_evaluate::{Inputs, embed_ids};
use npair_metrics::{Embeddings, diagnostics};
use npair_types::{ExampleId, Labels};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most examples that are looked at.
const LOOKED_AT: usize = 200;
/// Most of a class.
const OF_A_CLASS: usize = 4;

/// What a training run's embeddings look like at a step: a line of the journal, kind `embeddings`.
///
/// Of the same examples each time, at most 200, two to four of a class, with the network as it judges (no dropout, no
/// augmentation).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingLook {
    /// Mean Euclidean length of an embedding.
    pub norm: f64,
    /// Standard deviation of the lengths, over their mean.
    pub norm_spread: f64,
    /// Mean cosine of two embeddings of one class.
    pub same: f64,
    /// Mean cosine of two embeddings of two classes: 1 where all are one point.
    pub different: f64,
    /// Number of directions in use: `exp` of the entropy of the covariance's spectrum, from 1 to the width; 0 where all embeddings
    /// are one point.
    pub effective_rank: f64,
    /// Components that are the same for all examples.
    pub constant: usize,
    /// Components.
    pub width: usize,
    /// Mean cosine of an embedding with what it was when looked at last, and the steps since then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drift: Option<Drift>,
}

/// How far embeddings have moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Mean cosine of an embedding with what it was.
    pub cosine: f64,
    /// Steps in between.
    pub steps: u64,
}

/// Writes to the journal what the embeddings of some training examples look like ([`EmbeddingLook`]): before the first step, every so
/// many steps, and after the last. It changes nothing of the run.
pub struct EmbeddingWatch {
    inputs: Arc<dyn Inputs>,
    ids: Vec<ExampleId>,
    labels: Labels,
    every: u64,
    /// The step of the last look, and the embeddings at unit length.
    last: Option<(u64, Tensor)>,
}

impl EmbeddingWatch {
    /// Of the inputs, every so many steps; `None` where there are no two classes with two examples each.
    pub fn new(inputs: &Arc<dyn Inputs>, every: u64) -> Option<Self> {
        let ids = inputs.class_index().spread(LOOKED_AT, OF_A_CLASS);
        let labels = Labels::from_ids(ids.iter().map(|id| inputs.labels().get(id.0)).collect());
        let labels = labels.ok().filter(|labels| labels.classes().len() > 1)?;
        Some(Self { inputs: inputs.clone(), ids, labels, every, last: None })
    }

    fn look(&mut self, at: &mut Moment<'_>) -> Result<()> {
        if self.last.as_ref().is_some_and(|(step, _)| *step == at.step) {
            return Ok(());
        }
        let rows = embed_ids(at.model, self.inputs.as_ref(), &self.ids, &mut |_| ())?;
        let rows = rows.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let (seen, unit) = look(&rows, &self.labels)?;
        let drift = match &self.last {
            Some((step, before)) => {
                let cosine = f64::from((before * &unit)?.sum(1)?.mean_all()?.to_scalar::<f32>()?);
                Some(Drift { cosine, steps: at.step - step })
            }
            None => None,
        };
        self.last = Some((at.step, unit));
        let line = serde_json::to_value(EmbeddingLook { drift, ..seen });
        at.record("embeddings", line.map_err(|e| Error::Mismatch { parts: "journal".to_owned(), why: e.to_string() })?)
    }
}

/// What rows (n, D) of labels look like, and the rows at unit length.
fn look(rows: &Tensor, labels: &Labels) -> Result<(EmbeddingLook, Tensor)> {
    let (n, width) = rows.dims2()?;
    let values: Vec<f32> = rows.flatten_all()?.to_vec1()?;
    let set = Embeddings::new(&values, width, labels.clone()).map_err(npair_evaluate::Error::from)?;
    let found = diagnostics(&set).map_err(npair_evaluate::Error::from)?;
    let line = |i: usize| &values[i * width..(i + 1) * width];
    let lengths: Vec<f64> = (0..n).map(|i| line(i).iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()).collect();
    let norm = lengths.iter().sum::<f64>() / n as f64;
    let spread = (lengths.iter().map(|l| (l - norm).powi(2)).sum::<f64>() / n as f64).sqrt();
    let constant = (0..width).filter(|&c| (1..n).all(|i| line(i)[c] == line(0)[c])).count();
    // Rows of length 1 at squared distance d have the cosine 1 - d / 2.
    let cosine = |distance: f64| 1. - distance / 2.;
    let seen = EmbeddingLook {
        norm,
        norm_spread: if norm > 0. { spread / norm } else { 0. },
        same: cosine(found.alignment),
        different: cosine(found.between),
        effective_rank: found.effective_rank,
        constant,
        width,
        drift: None,
    };
    let unit: Vec<f32> = (0..n)
        .flat_map(|i| {
            let length = lengths[i].max(f64::from(f32::MIN_POSITIVE));
            line(i).iter().map(move |v| (f64::from(*v) / length) as f32)
        })
        .collect();
    Ok((seen, Tensor::from_vec(unit, (n, width), &Device::Cpu)?))
}

impl Callback for EmbeddingWatch {
    fn name(&self) -> &str {
        "embedding-watch"
    }

    fn begin(&mut self, at: &mut Moment<'_>) -> Result<()> {
        if at.step == 0 { self.look(at) } else { Ok(()) }
    }

    fn step(&mut self, at: &mut Moment<'_>, _: &StepReport) -> Result<()> {
        if at.is_due(self.every) { self.look(at) } else { Ok(()) }
    }

    fn state(&self) -> Result<PartState> {
        let Some((step, unit)) = &self.last else { return Ok(PartState::default()) };
        Ok(PartState { value: (*step).into(), tensors: vec![("unit".to_owned(), unit.clone())] })
    }

    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        let unit = state.tensors.iter().find(|(name, _)| name == "unit");
        self.last = match (state.value.as_u64(), unit) {
            (None, None) => None,
            (Some(step), Some((_, unit))) if unit.dims().first() == Some(&self.ids.len()) => Some((step, unit.clone())),
            _ => return Err("does not hold the embeddings of the last look".to_owned()),
        };
        Ok(())
    }
}

use super::{Callback, Moment, PartState};
use crate::{Error, Result, StepReport};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

/// Exponential moving average of the weights (EMA): `average = decay average + (1 - decay) weights` after every step.
///
/// Running statistics of norms are averaged like weights. Where a run is validated, model and average are both judged, and the
/// better one is kept as the best. [`write_to`](Self::write_to) puts the average into a model, which is
/// then judged or saved as any other.
///
/// # Source
/// Polyak and Juditsky, 1992, with exponential weights as Tarvainen and Valpola, NeurIPS 2017, have them.
#[derive(Debug, Clone)]
pub struct WeightAverage {
    decay: f64,
    average: BTreeMap<String, Tensor>,
}

impl WeightAverage {
    /// With a decay in [0, 1): 0.999 looks back over a thousand steps.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is out of range.
    pub fn new(decay: f64) -> Result<Self> {
        if !(0. ..1.).contains(&decay) {
            let why = format!("is {decay}, but has to be a number from 0 to below 1");
            return Err(Error::Setting { setting: "training.average", why });
        }
        Ok(Self { decay, average: BTreeMap::new() })
    }

    /// Puts the averaged weights into a model of the same kind.
    ///
    /// # Errors
    /// If it is of another kind, or no step was done.
    pub fn write_to(&self, model: &dyn npair_backbones::EmbeddingModel) -> Result<()> {
        Ok(model.set_tensors(&self.average.clone().into_iter().collect())?)
    }

    /// The averaged weights as `model.safetensors` in a folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join("model.safetensors");
        let bytes = safetensors::serialize(&self.average, None).map_err(|e| Error::file(&path, e))?;
        Ok(npair_evaluate::write_file(&path, &bytes)?)
    }
}

impl Callback for WeightAverage {
    fn name(&self) -> &str {
        "weight-average"
    }

    fn step(&mut self, at: &mut Moment<'_>, _: &StepReport) -> Result<()> {
        for (name, now) in at.model.tensors()? {
            let next = match self.average.get(&name) {
                None => now,
                Some(average) => (average.affine(self.decay, 0.)? + now.affine(1. - self.decay, 0.)?)?,
            };
            self.average.insert(name, next);
        }
        Ok(())
    }

    fn weights(&self) -> Option<&BTreeMap<String, Tensor>> {
        (!self.average.is_empty()).then_some(&self.average)
    }

    fn state(&self) -> Result<PartState> {
        let tensors = self.average.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        Ok(PartState { tensors, ..PartState::default() })
    }

    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        self.average = state.tensors.iter().cloned().collect();
        Ok(())
    }
}

use crate::objective::Objective;
use crate::optimiser::Optimiser;
use crate::{Error, Result, files};
use candle_core::{Device, Tensor};
use npair_backbones::EmbeddingNet;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The version of `training.json` that this build writes and reads.
const FORMAT: u32 = 1;
const STATE: &str = "training.json";
const TENSORS: &str = "training.safetensors";
const CURE: &str = "the folder is no checkpoint of a run; give another, or start the run anew";

/// What a checkpoint knows beyond the network and the optimiser's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) format: u32,
    /// Steps done.
    pub(crate) step: u64,
    pub(crate) optimiser_steps: u64,
    /// State of the sampler after the last batch of that step.
    pub(crate) sampler: serde_json::Value,
    /// The best validation score so far.
    pub(crate) best: Option<f64>,
}

impl State {
    pub(crate) fn new(step: u64, sampler: serde_json::Value, best: Option<f64>) -> Self {
        Self { format: FORMAT, step, optimiser_steps: 0, sampler, best }
    }
}

/// Writes a whole checkpoint folder beside its place and moves it there.
pub(crate) fn save(
    place: &Path,
    net: &EmbeddingNet,
    objective: &Objective,
    optimiser: &Optimiser,
    mut state: State,
) -> Result<()> {
    let new = files::fresh(place)?;
    net.save(&new)?;
    let (mut tensors, steps) = optimiser.save()?;
    state.optimiser_steps = steps;
    tensors.extend(objective.save()?);
    let mut sorted: Vec<(String, Tensor)> = tensors.into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let path = new.join(TENSORS);
    files::write(&path, &safetensors::serialize(sorted, None).map_err(|e| Error::file(&path, e))?)?;
    let path = new.join(STATE);
    files::write(&path, &serde_json::to_vec(&state).map_err(|e| Error::file(&path, e))?)?;
    files::replace(&new, place)
}

/// Reads a checkpoint into a network, an objective and an optimiser made for the same configuration, of `accumulate` batches a
/// step.
pub(crate) fn load(
    place: &Path,
    net: &EmbeddingNet,
    objective: &mut Objective,
    accumulate: u64,
    optimiser: &mut Optimiser,
) -> Result<State> {
    let path = place.join(STATE);
    let state: State =
        serde_json::from_str(&files::read(&path, CURE)?).map_err(|e| Error::file(&path, format!("{e}; {CURE}")))?;
    if state.format != FORMAT {
        let why =
            format!("is of format {}, this build reads {FORMAT}; go on with the npair that wrote it", state.format);
        return Err(Error::file(&path, why));
    }
    let saved = EmbeddingNet::load(place, net.params().dtype(), net.params().device())?;
    net.params().load(&saved.params().tensors()?.into_iter().collect()).map_err(|e| {
        Error::file(&place.join("model.safetensors"), format!("{e}; the run's config.toml describes another network"))
    })?;
    let path = place.join(TENSORS);
    let bytes = std::fs::read(&path).map_err(|e| Error::file(&path, format!("cannot be read: {e}; {CURE}")))?;
    let tensors: HashMap<String, Tensor> = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::file(&path, format!("is damaged: {e}; {CURE}")))?;
    let other =
        |why: String| Error::file(&path, format!("{why}; the run's config.toml describes another loss or optimiser"));
    objective.restore(&tensors, state.step * accumulate).map_err(other)?;
    optimiser.restore(&tensors, state.optimiser_steps).map_err(other)?;
    Ok(state)
}

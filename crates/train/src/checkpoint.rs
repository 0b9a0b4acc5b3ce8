use crate::objective::Objective;
use crate::{Callback, Error, PartState, Result, Schedule, Updater, files};
use candle_core::{Device, Tensor};
use npair_backbones::EmbeddingModel;
use npair_evaluate::write_file;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// The version of `training.json` that this build writes and reads.
const FORMAT: u32 = 1;
const STATE: &str = "training.json";
const TENSORS: &str = "training.safetensors";
const CURE: &str = "the folder is no checkpoint of a run; give another, or start the run anew";

/// What a checkpoint knows beyond the model and the optimizer's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) format: u32,
    /// Steps done.
    pub(crate) step: u64,
    #[serde(alias = "optimiser_steps")]
    pub(crate) optimizer_steps: u64,
    /// State of the sampler after the last batch of that step.
    pub(crate) sampler: serde_json::Value,
    /// The best validation score so far.
    pub(crate) best: Option<f64>,
    /// Whether a validation that is due after this step is still to come: a checkpoint is written before it too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) validation_due: bool,
    /// How many parts its batches were cut into, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shards: Option<usize>,
    /// Lines of the journal when it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<usize>,
    /// What callbacks remember, by their names.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub(crate) callbacks: serde_json::Map<String, serde_json::Value>,
    /// What the schedule remembers, if it remembers anything.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub(crate) schedule: serde_json::Value,
}

impl State {
    pub(crate) fn new(step: u64, sampler: serde_json::Value, best: Option<f64>) -> Self {
        let callbacks = serde_json::Map::new();
        Self {
            format: FORMAT,
            step,
            optimizer_steps: 0,
            sampler,
            best,
            validation_due: false,
            shards: None,
            journal: None,
            callbacks,
            schedule: serde_json::Value::Null,
        }
    }
}

/// The parts of a run whose state a checkpoint holds.
pub(crate) struct Stateful<'a> {
    pub(crate) model: &'a dyn EmbeddingModel,
    pub(crate) objective: &'a mut Objective,
    pub(crate) updater: &'a mut Updater,
    pub(crate) schedule: &'a mut dyn Schedule,
    pub(crate) callbacks: &'a mut [Box<dyn Callback>],
}

impl Stateful<'_> {
    /// Writes a whole checkpoint folder beside its place and moves it there.
    pub(crate) fn save(&self, place: &Path, mut state: State) -> Result<()> {
        let new = files::fresh(place)?;
        self.model.save(&new)?;
        let (mut tensors, steps) = self.updater.state()?;
        (state.optimizer_steps, state.schedule) = (steps, self.schedule.state());
        tensors.extend(self.objective.state()?);
        for callback in self.callbacks.iter() {
            let part = callback.state()?;
            if !part.value.is_null() {
                state.callbacks.insert(callback.name().to_owned(), part.value);
            }
            let named = |(name, tensor)| (format!("{}{name}", of_callback(callback.name())), tensor);
            tensors.extend(part.tensors.into_iter().map(named));
        }
        let mut sorted: Vec<(String, Tensor)> = tensors.into_iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let path = new.join(TENSORS);
        write_file(&path, &safetensors::serialize(sorted, None).map_err(|e| Error::file(&path, e))?)?;
        let path = new.join(STATE);
        write_file(&path, &serde_json::to_vec(&state).map_err(|e| Error::file(&path, e))?)?;
        files::replace(&new, place)
    }

    /// Reads a checkpoint into parts that were made alike, of `accumulate` batches a step.
    pub(crate) fn load(&mut self, place: &Path, accumulate: u64) -> Result<State> {
        let state = read_state(place)?;
        let path = place.join("model.safetensors");
        let other = |why: String| Error::file(&path, format!("{why}; the run was begun with other parts"));
        self.model.load(place).map_err(|e| other(e.to_string()))?;
        let path = place.join(TENSORS);
        let bytes = std::fs::read(&path).map_err(|e| Error::file(&path, format!("cannot be read: {e}; {CURE}")))?;
        let tensors: HashMap<String, Tensor> = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|e| Error::file(&path, format!("is damaged: {e}; {CURE}")))?;
        let other = |why: String| Error::file(&path, format!("{why}; the run was begun with other parts"));
        self.objective.restore(&tensors, state.step * accumulate).map_err(other)?;
        self.updater.restore(&tensors, state.optimizer_steps).map_err(other)?;
        if state.schedule.is_null() != self.schedule.state().is_null() {
            return Err(other("the schedule that it was written with is another one".to_owned()));
        }
        self.schedule.restore(&state.schedule).map_err(|why| other(format!("the state of the schedule {why}")))?;
        for callback in self.callbacks.iter_mut() {
            let name = callback.name().to_owned();
            let prefix = of_callback(&name);
            let own = tensors.iter().filter_map(|(key, tensor)| Some((key.strip_prefix(&prefix)?, tensor)));
            let tensors: Vec<_> = own.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
            let value = state.callbacks.get(&name).cloned().unwrap_or_default();
            // A callback that is new in this run has nothing to go on from.
            if value.is_null() && tensors.is_empty() {
                continue;
            }
            let restored = callback.restore(&PartState { value, tensors });
            restored.map_err(|why| other(format!("the state of {name} {why}")))?;
        }
        Ok(state)
    }
}

/// Steps that a checkpoint was written after, and the length of the journal then; an error if it is damaged.
pub(crate) fn steps_of(place: &Path) -> Result<(u64, Option<usize>)> {
    npair_evaluate::check_seal(place)?;
    let state = read_state(place)?;
    Ok((state.step, state.journal))
}

fn read_state(place: &Path) -> Result<State> {
    let path = place.join(STATE);
    let state: State =
        serde_json::from_str(&files::read(&path, CURE)?).map_err(|e| Error::file(&path, format!("{e}; {CURE}")))?;
    if state.format != FORMAT {
        let why =
            format!("is of format {}, this build reads {FORMAT}; go on with the npair that wrote it", state.format);
        return Err(Error::file(&path, why));
    }
    Ok(state)
}

/// What the names of a callback's tensors begin with.
fn of_callback(name: &str) -> String {
    format!("callback/{name}/")
}

/// Whether some bytes are the state of a checkpoint, as fuzzing asks.
pub fn accepts_state(bytes: &[u8]) -> bool {
    serde_json::from_slice::<State>(bytes).is_ok()
}

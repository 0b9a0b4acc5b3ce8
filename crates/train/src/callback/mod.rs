//! What hears of training, and may end it.

mod average;
mod early_stopping;
mod embedding_watch;
mod loss_watch;
mod probe;

pub use average::WeightAverage;
pub use early_stopping::EarlyStopping;
pub use embedding_watch::{Drift, EmbeddingLook, EmbeddingWatch};
pub use loss_watch::{LossWatch, StuckLoss};
pub use probe::PairProbe;

use crate::{Outcome, Result, StepReport};
use candle_core::Tensor;
use npair_backbones::EmbeddingModel;
use npair_evaluate::Scores;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where training stands, as callbacks see it.
pub struct Moment<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// The model as it is now.
    pub model: &'a dyn EmbeddingModel,
    record: &'a mut dyn FnMut(&str, Value) -> Result<()>,
}

impl<'a> Moment<'a> {
    pub(crate) fn new(
        (step, steps): (u64, u64),
        model: &'a dyn EmbeddingModel,
        record: &'a mut dyn FnMut(&str, Value) -> Result<()>,
    ) -> Self {
        Self { step, steps, model, record }
    }

    /// Writes a line of its own to the run's journal (`metrics.jsonl`): an object, to which `kind` and `step` are added.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn record(&mut self, kind: &str, line: Value) -> Result<()> {
        (self.record)(kind, line)
    }

    /// Whether something is due that is done every so many steps, and at the last one; 0 for never.
    pub fn is_due(&self, every: u64) -> bool {
        every > 0 && (self.step.is_multiple_of(every) || self.step == self.steps)
    }
}

/// What a part keeps in a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct PartState {
    /// Numbers and words.
    pub value: Value,
    /// Tensors, by name.
    pub tensors: Vec<(String, Tensor)>,
}

/// Hears what happens during training, and may end it. Every method has a default that does nothing.
///
/// What a callback remembers goes through [`state`](Self::state) and [`restore`](Self::restore), so that a resumed run is the
/// uninterrupted one.
///
/// # Examples
/// ```
/// # use npair_train::{Callback, Moment, Result, StepReport};
/// /// Ends training at a loss.
/// struct Target { loss: f64, reached: bool }
///
/// impl Callback for Target {
///     fn name(&self) -> &str {
///         "target"
///     }
///     fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> Result<()> {
///         self.reached |= report.loss < self.loss;
///         Ok(())
///     }
///     fn stop(&mut self) -> bool {
///         self.reached
///     }
/// }
/// ```
pub trait Callback: Send {
    /// What messages and checkpoints call it; each name once in a run.
    fn name(&self) -> &str;

    /// Something worth telling once.
    fn note(&mut self, text: &str) {
        let _ = text;
    }

    /// Training begins, or goes on.
    ///
    /// # Errors
    /// Those end the run.
    fn begin(&mut self, at: &mut Moment<'_>) -> Result<()> {
        let _ = at;
        Ok(())
    }

    /// A step is done.
    ///
    /// # Errors
    /// Those end the run.
    fn step(&mut self, at: &mut Moment<'_>, report: &StepReport) -> Result<()> {
        let _ = (at, report);
        Ok(())
    }

    /// The validation split was judged; `best` says that it was never better.
    ///
    /// # Errors
    /// Those end the run.
    fn evaluation(&mut self, at: &mut Moment<'_>, scores: &Scores, best: bool) -> Result<()> {
        let _ = (at, scores, best);
        Ok(())
    }

    /// A checkpoint was written.
    ///
    /// # Errors
    /// Those end the run.
    fn checkpoint(&mut self, at: &mut Moment<'_>) -> Result<()> {
        let _ = at;
        Ok(())
    }

    /// Whether to stop: the step under way is finished, then a checkpoint is written.
    fn stop(&mut self) -> bool {
        false
    }

    /// Training ends.
    ///
    /// # Errors
    /// Those end the run.
    fn end(&mut self, at: &mut Moment<'_>, outcome: &Outcome) -> Result<()> {
        let _ = (at, outcome);
        Ok(())
    }

    /// Weights that are judged beside the model's own when it is validated (an average of them), and kept if they are better.
    fn weights(&self) -> Option<&BTreeMap<String, Tensor>> {
        None
    }

    /// What it remembers.
    ///
    /// # Errors
    /// Those of candle.
    fn state(&self) -> Result<PartState> {
        Ok(PartState::default())
    }

    /// Goes on from what it remembered; the error says what does not fit.
    ///
    /// # Errors
    /// What does not fit.
    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        let _ = state;
        Ok(())
    }
}

use super::{Callback, Moment, PartState};
use crate::Result;
use npair_evaluate::Scores;
use serde_json::json;

/// Ends training when the score that the best model is chosen by has not risen for a number of evaluations.
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    patience: u64,
    without: u64,
}

impl EarlyStopping {
    /// After `patience` evaluations in a row that are no better than the best one.
    pub fn patience(patience: u64) -> Self {
        Self { patience: patience.max(1), without: 0 }
    }
}

impl Callback for EarlyStopping {
    fn name(&self) -> &str {
        "early-stopping"
    }

    fn evaluation(&mut self, at: &mut Moment<'_>, _: &Scores, best: bool) -> Result<()> {
        self.without = if best { 0 } else { self.without + 1 };
        if self.stop() && at.step < at.steps {
            at.record("early-stopping", json!({ "evaluations_without_gain": self.without }))?;
        }
        Ok(())
    }

    fn stop(&mut self) -> bool {
        self.without >= self.patience
    }

    fn state(&self) -> Result<PartState> {
        Ok(PartState { value: self.without.into(), tensors: Vec::new() })
    }

    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        self.without = state.value.as_u64().ok_or("is no number of evaluations")?;
        Ok(())
    }
}

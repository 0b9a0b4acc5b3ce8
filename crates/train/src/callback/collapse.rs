use super::{Callback, Moment};
use crate::{Result, StepReport};
use serde_json::json;

/// Notices a run that learns nothing: a loss that does not leave the one of embeddings that are all alike, ln N for N-pair
/// losses. Said once, in the journal and in the notes.
#[derive(Debug, Clone)]
pub struct CollapseWatch {
    chance: f64,
    after: u64,
    lowest: f64,
    said: bool,
    words: Option<String>,
}

impl CollapseWatch {
    /// `chance` is the loss of equal embeddings (ln N of N pairs); looked at after `after` steps.
    pub fn new(chance: f64, after: u64) -> Self {
        Self { chance, after: after.max(1), lowest: f64::INFINITY, said: false, words: None }
    }

    /// What was noticed, once.
    pub fn noticed(&mut self) -> Option<String> {
        self.words.take()
    }
}

impl Callback for CollapseWatch {
    fn name(&self) -> &str {
        "collapse-watch"
    }

    fn step(&mut self, at: &mut Moment<'_>, report: &StepReport) -> Result<()> {
        self.lowest = self.lowest.min(report.loss);
        if self.said || report.step < self.after || self.lowest < 0.98 * self.chance {
            return Ok(());
        }
        self.said = true;
        let words = format!(
            "after {} steps the loss has not been below {:.3}, where embeddings that are all alike have {:.3}: lower the \
             learning rate, or give a warm-up",
            report.step, self.lowest, self.chance
        );
        at.record("collapse", json!({ "lowest_loss": self.lowest, "chance": self.chance }))?;
        self.words = Some(words);
        Ok(())
    }
}

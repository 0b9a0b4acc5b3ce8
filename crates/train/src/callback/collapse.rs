use super::{Callback, Moment, PartState};
use crate::{Result, StepReport};
use serde_json::json;

/// Notices a run that learns nothing: a loss that does not leave the one of embeddings that are all alike, ln N for N-pair
/// losses. Said once, in the journal and in the notes.
#[derive(Debug, Clone)]
pub struct CollapseWatch {
    chance: f64,
    after: u64,
    seen: u64,
    lowest: f64,
    said: bool,
    words: Option<String>,
}

impl CollapseWatch {
    /// `chance` is the loss of equal embeddings (ln N of N pairs); looked at when `after` steps were seen.
    pub fn new(chance: f64, after: u64) -> Self {
        Self { chance, after: after.max(1), seen: 0, lowest: f64::INFINITY, said: false, words: None }
    }

    /// Hears of a step, and says once in words if the loss does not leave that of chance.
    pub fn notice(&mut self, report: &StepReport) -> Option<String> {
        (self.seen, self.lowest) = (self.seen + 1, self.lowest.min(report.loss));
        if self.said || self.seen < self.after || self.lowest < 0.98 * self.chance {
            return None;
        }
        self.said = true;
        Some(format!(
            "after {} steps the loss has not been below {:.3}, where embeddings that are all alike have {:.3}: lower the \
             learning rate, or give a warm-up",
            self.seen, self.lowest, self.chance
        ))
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
        let Some(words) = self.notice(report) else { return Ok(()) };
        at.record("collapse", json!({ "lowest_loss": self.lowest, "chance": self.chance }))?;
        self.words = Some(words);
        Ok(())
    }

    fn state(&self) -> Result<PartState> {
        // Infinity, before the first step, is no number of JSON.
        let lowest = self.lowest.is_finite().then_some(self.lowest);
        Ok(PartState { value: json!({ "lowest": lowest, "said": self.said, "seen": self.seen }), tensors: Vec::new() })
    }

    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        let said = state.value.get("said").and_then(serde_json::Value::as_bool);
        self.said = said.ok_or("does not tell whether it has spoken")?;
        self.seen = state.value.get("seen").and_then(serde_json::Value::as_u64).unwrap_or(0);
        self.lowest = state.value.get("lowest").and_then(serde_json::Value::as_f64).unwrap_or(f64::INFINITY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_before_a_stop_is_known_after_it() {
        let mut watch = CollapseWatch::new(2., 5);
        assert!(CollapseWatch::new(2., 5).restore(&watch.state().unwrap()).is_ok());
        (watch.lowest, watch.said, watch.seen) = (0.1 + 0.2, true, 7);
        let mut resumed = CollapseWatch::new(2., 5);
        let text = watch.state().unwrap().value.to_string();
        let value = serde_json::from_str(&text).unwrap();
        resumed.restore(&PartState { value, tensors: Vec::new() }).unwrap();
        assert_eq!((resumed.lowest.to_bits(), resumed.said, resumed.seen), (watch.lowest.to_bits(), true, 7));
    }
}

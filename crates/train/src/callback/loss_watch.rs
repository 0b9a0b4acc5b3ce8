use super::{Callback, Moment, PartState};
use crate::{Result, StepReport};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;

/// Steps at both ends of a run whose mean losses are compared.
const ENDS: usize = 5;
/// The last steps whose mean is held against the loss of guessing: that of one step is as much luck as learning.
const LATE: usize = 20;
/// A mean loss has left that of guessing when it lies below this share of it.
const LEFT: f64 = 0.98;
/// A mean loss has fallen when it lies below this share of the first.
const FALLEN: f64 = 0.99;

/// Notices a run that learns nothing: a loss that does not leave where guessing has it. Said once, in the journal and in the
/// notes.
#[derive(Debug, Clone)]
pub struct LossWatch {
    /// The loss of embeddings that are all alike, where it is known.
    guessing: Option<f64>,
    after: u64,
    seen: u64,
    /// Losses of the first steps and of the last ones.
    first: Vec<f64>,
    last: VecDeque<f64>,
    said: bool,
    words: Option<String>,
}

/// A loss that is where it began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StuckLoss {
    /// Steps after which it was looked at.
    pub steps: u64,
    /// The mean of the last 20 steps where the loss of guessing is known, else of the last five.
    pub loss: f64,
    /// The loss of guessing, or the mean of the first five steps.
    pub beginning: f64,
    /// Whether the loss of guessing is known.
    pub known: bool,
}

impl fmt::Display for StuckLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, loss, beginning, known } = self;
        match known {
            true => write!(
                f,
                "after {steps} steps the loss is {loss:.3}, where embeddings that are all alike have {beginning:.3}: \
                 nothing is learned"
            ),
            false => write!(
                f,
                "after {steps} steps the loss is {loss:.3}, where it was {beginning:.3} in the first: nothing is learned"
            ),
        }
    }
}

impl LossWatch {
    /// Of a loss that embeddings which are all alike have a known value of: ln N, in nats, for N pairs and the N-pair loss. Looked
    /// at when `after` steps were seen.
    pub fn from_guessing(loss: f64, after: u64) -> Self {
        Self { guessing: Some(loss), ..Self::from_first_steps(after) }
    }

    /// Of any loss: compared with that of the first five steps.
    pub fn from_first_steps(after: u64) -> Self {
        Self {
            guessing: None,
            after: after.max(1),
            seen: 0,
            first: Vec::new(),
            last: VecDeque::new(),
            said: false,
            words: None,
        }
    }

    /// Hears of a step's loss, and says once if it is where it began.
    pub fn notice(&mut self, loss: f64) -> Option<StuckLoss> {
        self.seen += 1;
        if self.first.len() < ENDS {
            self.first.push(loss);
        }
        if self.last.len() == LATE {
            self.last.pop_front();
        }
        self.last.push_back(loss);
        if self.said || self.seen < self.after {
            return None;
        }
        let stuck = self.stuck();
        // Looked at once: a loss that rises again is another matter. Means of steps that overlap say nothing.
        self.said = stuck.is_some() || self.guessing.is_some() || self.seen >= 2 * ENDS as u64;
        stuck
    }

    fn stuck(&self) -> Option<StuckLoss> {
        let late = |steps: usize| {
            let steps = steps.min(self.last.len()).max(1);
            self.last.iter().rev().take(steps).sum::<f64>() / steps as f64
        };
        let found = |loss, beginning, known| StuckLoss { steps: self.seen, loss, beginning, known };
        match self.guessing {
            Some(guessing) => (late(LATE) >= LEFT * guessing).then(|| found(late(LATE), guessing, true)),
            None if self.seen < 2 * ENDS as u64 => None,
            None => {
                let (first, last) = (self.first.iter().sum::<f64>() / self.first.len() as f64, late(ENDS));
                (last >= FALLEN * first).then(|| found(last, first, false))
            }
        }
    }

    /// What was noticed, once.
    pub fn noticed(&mut self) -> Option<String> {
        self.words.take()
    }
}

impl Callback for LossWatch {
    fn name(&self) -> &str {
        "loss-watch"
    }

    fn step(&mut self, at: &mut Moment<'_>, report: &StepReport) -> Result<()> {
        let Some(stuck) = self.notice(report.loss) else { return Ok(()) };
        at.record("stuck", json!({ "loss": stuck.loss, "beginning": stuck.beginning }))?;
        self.words = Some(stuck.to_string());
        Ok(())
    }

    fn state(&self) -> Result<PartState> {
        let Self { said, seen, first, last, .. } = self;
        let value = json!({ "said": said, "seen": seen, "first": first, "last": last });
        Ok(PartState { value, tensors: Vec::new() })
    }

    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        let value = &state.value;
        let losses = |key: &str| -> Vec<f64> {
            let all = value.get(key).and_then(Value::as_array);
            all.into_iter().flatten().filter_map(Value::as_f64).take(LATE).collect()
        };
        self.said = value.get("said").and_then(Value::as_bool).ok_or("does not tell whether it has spoken")?;
        self.seen = value.get("seen").and_then(Value::as_u64).unwrap_or(0);
        (self.first, self.last) = (losses("first"), losses("last").into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(watch: &mut LossWatch, losses: impl IntoIterator<Item = f64>) -> Vec<StuckLoss> {
        losses.into_iter().filter_map(|loss| watch.notice(loss)).collect()
    }

    #[test]
    fn a_loss_that_stays_is_told_once_and_one_that_falls_is_not() {
        let watches = || [LossWatch::from_guessing(2., 20), LossWatch::from_first_steps(20)];
        for mut watch in watches() {
            let stuck = told(&mut watch, std::iter::repeat_n(2., 50));
            assert_eq!(stuck.len(), 1, "{stuck:?}");
            assert_eq!((stuck[0].steps, stuck[0].loss, stuck[0].beginning), (20, 2., 2.));
        }
        for mut watch in watches() {
            assert_eq!(told(&mut watch, (0..50).map(|i| 2. - 0.02 * f64::from(i))), []);
        }
        // Fewer steps than there are ends cannot tell.
        let mut short = LossWatch::from_first_steps(3);
        assert_eq!(told(&mut short, std::iter::repeat_n(2., 9)), []);
        assert_eq!(told(&mut short, [2.]).len(), 1);
    }

    #[test]
    fn what_was_seen_before_a_stop_is_known_after_it() {
        let mut watch = LossWatch::from_first_steps(12);
        assert!(LossWatch::from_first_steps(12).restore(&watch.state().unwrap()).is_ok());
        told(&mut watch, (0..7).map(|i| 0.1 + f64::from(i) / 3.));
        let mut resumed = LossWatch::from_first_steps(12);
        let text = watch.state().unwrap().value.to_string();
        resumed.restore(&PartState { value: serde_json::from_str(&text).unwrap(), tensors: Vec::new() }).unwrap();
        let rest = [0.3, 0.1 + 0.2, 5., 6., 7., 8.];
        let said = told(&mut watch, rest);
        assert_eq!(told(&mut resumed, rest), said);
        assert_eq!(said.len(), 1);
    }
}

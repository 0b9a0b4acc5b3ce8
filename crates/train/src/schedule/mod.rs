//! The learning rate over the steps.

mod plateau;

pub use plateau::{Plateau, PlateauSettings};

use crate::Result;
use serde_json::Value;

/// The learning rate over the steps, as a factor of the optimizer's.
///
/// One that goes by what validation finds hears of it in [`judged`](Self::judged); what it remembers goes through
/// [`state`](Self::state) and [`restore`](Self::restore), so that a resumed run is the uninterrupted one.
///
/// # Examples
/// ```
/// # use npair_train::Schedule;
/// /// Falls with the root of the step.
/// struct InverseRoot;
///
/// impl Schedule for InverseRoot {
///     fn name(&self) -> &str {
///         "inverse root"
///     }
///     fn factor(&self, step: u64, _: u64) -> f64 {
///         1. / ((step + 1) as f64).sqrt()
///     }
/// }
/// assert_eq!(InverseRoot.factor(3, 100), 0.5);
/// ```
pub trait Schedule: Send {
    /// What messages call it.
    fn name(&self) -> &str;

    /// The factor at `step`, counted from 0, of `steps`.
    fn factor(&self, step: u64, steps: u64) -> f64;

    /// An error if it cannot work in a run of `steps` steps that is validated `every` so many (0 for after the last alone), or not at
    /// all.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) with the key to change.
    fn check(&self, steps: u64, every: Option<u64>) -> Result<()> {
        let _ = (steps, every);
        Ok(())
    }

    /// The model was validated after `step`: the score that the best one is chosen by, of the weights that train.
    fn judged(&mut self, step: u64, score: f64) {
        let _ = (step, score);
    }

    /// What it remembers; nothing for one that goes by the step alone.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Goes on from what it remembered.
    ///
    /// # Errors
    /// What does not fit.
    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        let _ = state;
        Ok(())
    }
}

impl Schedule for Box<dyn Schedule> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn factor(&self, step: u64, steps: u64) -> f64 {
        (**self).factor(step, steps)
    }
    fn check(&self, steps: u64, every: Option<u64>) -> Result<()> {
        (**self).check(steps, every)
    }
    fn judged(&mut self, step: u64, score: f64) {
        (**self).judged(step, score);
    }
    fn state(&self) -> Value {
        (**self).state()
    }
    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        (**self).restore(state)
    }
}

/// The factor while the rate rises linearly: `(step + 1) / warm_up`; none behind it.
fn rising(step: u64, warm_up: u64) -> Option<f64> {
    (step < warm_up).then(|| (step + 1) as f64 / warm_up as f64)
}

/// The same rate at every step after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Constant {
    /// Steps over which the rate rises linearly from 0.
    pub warm_up: u64,
}

impl Schedule for Constant {
    fn name(&self) -> &str {
        "constant"
    }

    fn factor(&self, step: u64, _: u64) -> f64 {
        rising(step, self.warm_up).unwrap_or(1.)
    }
}

/// Half a cosine from 1 to `floor`, behind the warm-up.
///
/// ```text
/// floor + (1 - floor) (1 + cos(pi t)) / 2     t = (step - warm_up) / (steps - warm_up)
/// ```
///
/// # Source
/// Loshchilov and Hutter, ICLR 2017 (SGDR), equation 5, without restarts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cosine {
    /// Steps over which the rate rises linearly from 0.
    pub warm_up: u64,
    /// The factor at the end.
    pub floor: f64,
}

impl Schedule for Cosine {
    fn name(&self) -> &str {
        "cosine"
    }

    fn factor(&self, step: u64, steps: u64) -> f64 {
        rising(step, self.warm_up).unwrap_or_else(|| {
            let t = (step - self.warm_up) as f64 / steps.saturating_sub(self.warm_up).max(1) as f64;
            self.floor + (1. - self.floor) * (1. + (std::f64::consts::PI * t.min(1.)).cos()) / 2.
        })
    }
}

/// Times `factor` at each milestone, behind the warm-up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MultiStep {
    /// Steps over which the rate rises linearly from 0.
    pub warm_up: u64,
    /// Steps at which the rate falls.
    pub milestones: Vec<u64>,
    /// The factor of each fall.
    pub factor: f64,
}

impl Schedule for MultiStep {
    fn name(&self) -> &str {
        "step"
    }

    fn factor(&self, step: u64, _: u64) -> f64 {
        rising(step, self.warm_up).unwrap_or_else(|| {
            let falls = self.milestones.iter().filter(|&&m| m <= step).count();
            self.factor.powi(i32::try_from(falls).unwrap_or(i32::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_as_written() {
        let cosine = Cosine { warm_up: 4, floor: 0.1 };
        assert_eq!([0, 3].map(|s| cosine.factor(s, 104)), [0.25, 1.]);
        assert_eq!(cosine.factor(4, 104), 1.);
        assert!((cosine.factor(54, 104) - 0.55).abs() < 1e-12);
        assert!((cosine.factor(104, 104) - 0.1).abs() < 1e-12);
        let step = MultiStep { warm_up: 0, milestones: vec![10, 20], factor: 0.5 };
        assert_eq!([0, 9, 10, 20].map(|s| step.factor(s, 30)), [1., 1., 0.5, 0.25]);
        assert_eq!(Constant::default().factor(7, 30), 1.);
    }
}

use crate::{Error, Result};
use npair_losses::LossValue;
use serde::Serialize;

/// What a step was like.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// The loss, without penalties.
    pub loss: f64,
    /// Terms of the loss.
    pub terms: usize,
    /// Terms with a gradient.
    pub active: usize,
    /// The losses that the loss is a weighted sum of, if it is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartReport>,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Examples of the step.
    pub examples: usize,
    /// Time of the step.
    pub seconds: f64,
    /// Time of it that was spent waiting for examples.
    pub data_seconds: f64,
    /// Time of it that was spent on class mining: embedding the candidates.
    pub mining_seconds: f64,
}

/// What a part of a weighted sum of losses was in a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartReport {
    /// Its name.
    pub name: String,
    /// The loss, not weighed.
    pub loss: f64,
    /// Terms of the loss.
    pub terms: usize,
    /// Terms with a gradient.
    pub active: usize,
}

impl StepReport {
    /// Step number `step`, of which nothing is known yet.
    pub(crate) fn of_step(step: u64, steps: u64) -> Self {
        Self { step, steps, ..Self::default() }
    }

    /// Adds the loss of a batch of the step: terms are counted, losses are averaged with the batch's `share`. An error if a loss
    /// is not finite.
    pub(crate) fn add(&mut self, batch: &LossValue, share: f64) -> Result<()> {
        let step = self.step;
        let finite = |what: String, value: f64| match value.is_finite() {
            true => Ok(value),
            false => Err(Error::Diverged { step, what }),
        };
        if self.parts.is_empty() {
            let none = |name: &String| PartReport { name: name.clone(), loss: 0., terms: 0, active: 0 };
            self.parts = batch.parts.iter().map(|part| none(&part.name)).collect();
        }
        for (sum, part) in self.parts.iter_mut().zip(&batch.parts) {
            sum.loss += share * finite(format!("the loss {}", part.name), part.loss.to_f64()?)?;
            sum.terms += part.loss.terms;
            sum.active += part.loss.active;
        }
        self.loss += share * finite("the loss".to_owned(), batch.to_f64()?)?;
        self.terms += batch.terms;
        self.active += batch.active;
        Ok(())
    }
}

/// How training ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// Steps of the run; more than `step` if it was stopped.
    pub steps: u64,
    /// Time spent in this call.
    pub seconds: f64,
    /// Time of it that was spent waiting for examples.
    pub data_seconds: f64,
    /// Time of it that was spent on class mining.
    pub mining_seconds: f64,
    /// The best validation score, if there is a validation split.
    pub best: Option<f64>,
}

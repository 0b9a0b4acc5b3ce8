use crate::objective::Aim;
use crate::{Error, Result};
use serde::Serialize;

/// What a batch, or the batches of a step, had to teach.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taught {
    pub(crate) loss: f64,
    pub(crate) terms: usize,
    pub(crate) active: usize,
    pub(crate) parts: Vec<PartReport>,
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

impl Taught {
    /// That of one batch; an error if the loss, or a part of it, is not finite.
    pub(crate) fn of(aim: &Aim, step: u64) -> Result<Self> {
        let finite = |what: String, value: f64| match value.is_finite() {
            true => Ok(value),
            false => Err(Error::Diverged { step, what }),
        };
        let parts = aim.parts.iter().map(|part| {
            let loss = finite(format!("the loss {}", part.name), part.loss.to_f64()?)?;
            Ok(PartReport { name: part.name.clone(), loss, terms: part.loss.terms, active: part.loss.active })
        });
        let parts = parts.collect::<Result<_>>()?;
        let loss = finite("the loss".to_owned(), aim.loss.to_f64()?)?;
        Ok(Self { loss, terms: aim.loss.terms, active: aim.loss.active, parts })
    }

    /// Adds that of a batch: terms are counted, losses are averaged with the batch's `share`.
    pub(crate) fn add(&mut self, batch: Self, share: f64) {
        self.loss += share * batch.loss;
        self.terms += batch.terms;
        self.active += batch.active;
        if self.parts.is_empty() {
            self.parts =
                batch.parts.iter().map(|part| PartReport { loss: 0., terms: 0, active: 0, ..part.clone() }).collect();
        }
        for (sum, part) in self.parts.iter_mut().zip(batch.parts) {
            sum.loss += share * part.loss;
            sum.terms += part.terms;
            sum.active += part.active;
        }
    }
}

use super::in_range;
use super::ruled::{Cell, Rule, Ruled, optimizer_of_rule};
use super::tensors::Whole;
use candle_core::{Result, Tensor};

/// Settings of [`Sgd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdSettings {
    /// Learning rate at full height of the schedule.
    pub learning_rate: f64,
    /// What is left of the velocity from step to step.
    pub momentum: f64,
    /// Decay of the weights per step, times the learning rate (decoupled, other than PyTorch's); on matrices and filters alone.
    pub weight_decay: f64,
}

impl Default for SgdSettings {
    fn default() -> Self {
        Self { learning_rate: 3e-3, momentum: 0.9, weight_decay: 0. }
    }
}

/// Gradient descent with momentum: `u = momentum u + g`, `x -= rate u`, as PyTorch's without dampening.
pub struct Sgd {
    pub(super) settings: SgdSettings,
    pub(super) ruled: Ruled<SgdRule>,
}

impl Sgd {
    /// With these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(settings: SgdSettings) -> crate::Result<Self> {
        let SgdSettings { learning_rate, momentum, weight_decay } = settings;
        in_range("optimizer.learning_rate", learning_rate, 0., f64::MAX)?;
        in_range("optimizer.weight_decay", weight_decay, 0., f64::MAX)?;
        in_range("optimizer.momentum", momentum, 0., 1. - f64::EPSILON)?;
        Ok(Self { settings, ruled: Ruled::new(SgdRule { momentum }) })
    }
}

optimizer_of_rule!(Sgd, "sgd");

pub(super) struct SgdRule {
    momentum: f64,
}

impl Rule for SgdRule {
    fn memory(&self) -> &'static [&'static str] {
        &["velocity"]
    }

    fn update(&self, cell: Cell, rate: f64, _step: u64) {
        let [velocity] = cell.memory else { return };
        for ((x, &g), u) in cell.value.iter_mut().zip(cell.grad).zip(velocity.iter_mut()) {
            let moved = self.momentum * f64::from(*u) + f64::from(g) * cell.scale;
            *u = moved as f32;
            *x = (f64::from(*x) * cell.keep - rate * moved) as f32;
        }
    }

    fn update_whole(&self, whole: Whole, rate: f64, _step: u64) -> Result<Tensor> {
        let [velocity] = whole.memory else { return Ok(whole.value.clone()) };
        *velocity = velocity.affine(self.momentum, 0.)?.add(&whole.grad.affine(whole.scale, 0.)?)?;
        whole.value.affine(whole.keep, 0.)?.sub(&velocity.affine(rate, 0.)?)
    }
}

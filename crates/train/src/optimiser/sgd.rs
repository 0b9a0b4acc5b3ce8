use super::{Cell, Rule, Whole};
use candle_core::{Result, Tensor};

/// Gradient descent with momentum: `u = momentum u + g`, `x -= rate u`, as PyTorch's without dampening.
pub(super) struct Sgd {
    pub(super) momentum: f64,
}

impl Rule for Sgd {
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

//! Whole variables on a device.

use super::slices;
use candle_core::{Result, Tensor};

/// A variable on its way: value, gradient, and the optimizer's memory.
pub(super) struct Whole<'a> {
    pub(super) value: &'a Tensor,
    pub(super) grad: &'a Tensor,
    pub(super) memory: &'a mut [Tensor],
    /// What the gradient is multiplied by.
    pub(super) scale: f64,
    /// What decoupled weight decay leaves of the value.
    pub(super) keep: f64,
    /// How much of the value a coupled one adds to the gradient.
    pub(super) pull: f64,
}

impl Whole<'_> {
    /// As of a [`Cell`](super::ruled::Cell).
    pub(super) fn left_of_both(&self) -> f64 {
        (2. - self.keep).recip()
    }
}

/// The sum of the squares of all gradients: on the CPU in f64, from a device by one read.
pub(super) fn squares(sums: &[Option<Tensor>]) -> Result<f64> {
    let mut total = 0.;
    let (host, on_device): (Vec<_>, Vec<_>) = sums.iter().flatten().partition(|sum| sum.device().is_cpu());
    for sum in host {
        total += slices::square(sum)?;
    }
    if let Some(found) = npair_nn::squares(&on_device)? {
        total += found;
    } else if !on_device.is_empty() {
        let on_device = on_device.into_iter().map(|sum| sum.sqr()?.sum_all()).collect::<Result<Vec<_>>>()?;
        total += Tensor::stack(&on_device, 0)?.to_vec1::<f32>()?.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(total)
}

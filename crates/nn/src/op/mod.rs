//! The kernels on tensors, without any history.

mod storage;

pub(crate) use storage::{shaped, slice, tensor, values, with};

use crate::kernel::{self, by_dtype};
use crate::{Result, composed};
use candle_core::Tensor;

/// The sum of two tensors of one shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if composed::wanted(a) {
        return Ok(a.add(b)?);
    }
    Ok(by_dtype!(a.dtype(), "npair sum", T => with(a, |x: &[T]| with(b, |y| {
        shaped(kernel::zip(x, y, |x, y| x + y), a)
    })))?)
}

/// Entries of a gradient nearer to 0 than this are taken as 0.
const TINY: f64 = 1e-30;

/// A gradient whose tiny entries are 0. Pairs that lie far apart have gradients like e^-90; on its way through a network
/// such a number becomes subnormal, and arithmetic on those takes a hundred times as long on a CPU. No sum in f32 would
/// notice.
pub(crate) fn flush_to_zero(grad: &Tensor) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    if composed::wanted(&grad) {
        return Ok(grad);
    }
    Ok(by_dtype!(grad.dtype(), "npair gradient", T => with(&grad, |g: &[T]| {
        let tiny = TINY as T;
        shaped(kernel::zip(g, g, |g, _| if -tiny < g && g < tiny { 0. } else { g }), &grad)
    }))?)
}

//! The kernels on tensors, without any history.

mod storage;

pub(crate) use storage::{shaped, slice, tensor, with};

use crate::Result;
use crate::kernel::{self, by_dtype};
use candle_core::Tensor;

/// The sum of two tensors of one shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() {
        return Ok(a.add(b)?);
    }
    Ok(by_dtype!(a.dtype(), "npair sum", T => with(a, |x: &[T]| with(b, |y| {
        shaped(kernel::zip(x, y, |x, y| x + y), a)
    })))?)
}

use super::input;
use crate::{Layer, Mode, Result, op};
use candle_core::Tensor;

/// Rectified linear unit.
///
/// ```text
/// y = max(x, 0)
/// ```
/// # Shapes    any; the result has the input's.
/// # Gradient  passes where the result is positive; 0 at 0 (candle's own is 1 there).
/// # Numerics  NaN stays NaN.
#[derive(Debug, Clone, Copy, Default)]
pub struct Relu;

impl Layer for Relu {
    fn forward(&self, x: &Tensor, _: &Mode) -> Result<Tensor> {
        Ok(input::check("ReLU", x)?.apply_op1(op::Rectify)?)
    }
}

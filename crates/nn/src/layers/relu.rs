use crate::kernel::activation::Activation;
use crate::{Layer, Node, Result, Tape};

/// Rectified linear unit.
///
/// ```text
/// y = max(x, 0)
/// ```
///
/// # Shapes
/// Any; the result has the input's.
///
/// # Gradient
/// Passes where the result is positive; 0 at 0 (candle's own is 1 there).
///
/// # Numerics
/// NaN stays NaN.
#[derive(Debug, Clone, Copy, Default)]
pub struct Relu;

impl Layer for Relu {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        Activation::Relu.record(x, tape)
    }
}

use super::input;
use crate::kernel::{self, by_dtype};
use crate::op::{shaped, with};
use crate::{Layer, Node, Result, Tape, composed};

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

impl Relu {
    const NAME: &'static str = "relu";
}

impl Layer for Relu {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(Self::NAME, x)?;
        let tensor = x.tensor();
        let out = if composed::wanted(tensor) {
            composed::pointwise::relu(tensor)?
        } else {
            by_dtype!(tensor.dtype(), Self::NAME, T => with(tensor, |v: &[T]| {
                shaped(kernel::zip(v, v, |v, _| if v < 0. { 0. } else { v }), tensor)
            }))?
        };
        let (kept, id) = (out.clone(), x.id());
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(stopped(&kept, &grad)?))))
    }
}

/// The gradient where the result of a ReLU is above 0, and 0 elsewhere.
pub(super) fn stopped(
    out: &candle_core::Tensor,
    grad: &candle_core::Tensor,
) -> candle_core::Result<candle_core::Tensor> {
    if composed::wanted(out) {
        return composed::pointwise::relu_back(out, grad);
    }
    by_dtype!(out.dtype(), Relu::NAME, T => with(out, |o: &[T]| with(grad, |g| {
        shaped(kernel::zip(o, g, |o, g| if o <= 0. { 0. } else { g }), out)
    })))
}

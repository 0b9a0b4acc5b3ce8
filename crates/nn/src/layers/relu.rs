use super::input;
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

impl Relu {
    const NAME: &'static str = "relu";
}

impl Layer for Relu {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(Self::NAME, x)?;
        let (backend, id) = (tape.backend(), x.id());
        let out = backend.relu(x.tensor())?;
        let kept = out.clone();
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(backend.relu_vjp(&kept, &grad)?))))
    }
}

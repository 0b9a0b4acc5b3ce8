use super::input;
use crate::{Layer, Node, Result, Tape};

/// Soft-max over the last axis.
///
/// ```text
/// y_i = e^x_i / sum_j e^x_j
/// ```
///
/// # Shapes
/// (..., C) with C > 0; the result has the input's.
///
/// # Gradient
/// `y_i (g_i - sum_j y_j g_j)`; candle-nn's `softmax_last_dim` has none.
///
/// # Numerics
/// Every row is shifted by its maximum; sums are joined in f64. A row with NaN becomes NaN.
///
/// # Errors
/// [`crate::Error::Input`] if there is no last axis or it is empty.
///
/// ```
/// # use npair_nn::{Layer, Mode, Softmax}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[0f64, 3f64.ln()], &Device::Cpu)?;
/// let y = Softmax.forward(&x, &Mode::Eval)?.to_vec1::<f64>()?;
/// assert!((y[0] - 0.25).abs() < 1e-15 && (y[1] - 0.75).abs() < 1e-15);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Softmax;

impl Softmax {
    const NAME: &'static str = "softmax";
}

impl Layer for Softmax {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(Self::NAME, x)?;
        if x.dims().last().is_none_or(|width| *width == 0) {
            return Err(input::wrong(Self::NAME, x, "a last axis with at least one entry is needed"));
        }
        let (backend, id) = (tape.backend(), x.id());
        let out = backend.softmax(x.tensor())?;
        let kept = out.clone();
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(backend.softmax_vjp(&kept, &grad)?))))
    }
}

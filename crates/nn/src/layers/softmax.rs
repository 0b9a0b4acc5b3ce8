use super::input;
use crate::kernel::{by_dtype, row};
use crate::op::{shaped, with};
use crate::{Layer, Node, Result, Tape, composed};

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
        let Some(&width) = x.dims().last().filter(|w| **w > 0) else {
            return Err(input::wrong(Self::NAME, x, "a last axis with at least one entry is needed"));
        };
        if composed::wanted(x.tensor()) {
            let (out, id) = (composed::rows::softmax(x.tensor())?, x.id());
            let kept = out.clone();
            return Ok(tape.push(out, &[x], &[], move |grad, grads| {
                grads.add(id, || Ok(composed::rows::softmax_back(&kept, &grad)?))
            }));
        }
        let out = by_dtype!(x.tensor().dtype(), Self::NAME, T => with(x.tensor(), |v: &[T]| {
            shaped(row::softmax(v, width), x.tensor())
        }))?;
        let (kept, id) = (out.clone(), x.id());
        Ok(tape.push(out, &[x], &[], move |grad, grads| {
            grads.add(id, || {
                Ok(by_dtype!(kept.dtype(), Self::NAME, T => with(&kept, |p: &[T]| with(&grad, |g| {
                    shaped(row::softmax_back(p, width, g), &kept)
                })))?)
            })
        }))
    }
}

use super::input;
use crate::kernel::{by_dtype, gelu};
use crate::op::{shaped, with};
use crate::{Layer, Pass, Result, Value, composed};

/// Gaussian error linear unit.
///
/// ```text
/// y = x Phi(x)        Phi: distribution function of the standard normal distribution
/// ```
///
/// # Shapes
/// Any; the result has the input's.
///
/// # Gradient
/// `Phi(x) + x phi(x)`, phi the density.
///
/// # Numerics
/// Exact, not the approximation by tanh; on the CPU the tail for negative x keeps its relative
/// precision. NaN stays NaN.
///
/// # Source
/// Hendrycks and Gimpel, 2016, section 2.
///
/// ```
/// # use npair_nn::{Gelu, Layer}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[-1f64, 0., 1.], &Device::Cpu)?;
/// let y = Gelu.infer(&x)?.to_vec1::<f64>()?;
/// // Phi(1) = 0.8413447460685429
/// assert!((y[0] + 0.1586552539314571).abs() < 1e-15 && y[1] == 0. && (y[2] - 0.8413447460685429).abs() < 1e-15);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Gelu;

impl Gelu {
    const NAME: &'static str = "gelu";
}

impl Layer for Gelu {
    fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        input::check(Self::NAME, x)?;
        let kept = x.tensor().clone();
        if composed::wanted(&kept) {
            let (out, source) = (composed::pointwise::gelu(&kept)?, x.source());
            return Ok(pass.record(out, &[x], &[], move |grad, to| {
                to.value(source, || Ok(composed::pointwise::gelu_back(&kept, &grad)?))
            }));
        }
        let out = by_dtype!(kept.dtype(), Self::NAME, T => with(&kept, |v: &[T]| shaped(gelu::gelu(v), &kept)))?;
        let source = x.source();
        Ok(pass.record(out, &[x], &[], move |grad, to| {
            to.value(source, || {
                Ok(by_dtype!(kept.dtype(), Self::NAME, T => with(&kept, |v: &[T]| with(&grad, |g| {
                    shaped(gelu::gelu_back(v, g), &kept)
                })))?)
            })
        }))
    }
}

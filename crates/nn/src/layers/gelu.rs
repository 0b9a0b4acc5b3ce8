use super::input;
use crate::{Layer, Node, Result, Tape};

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
/// # use npair_nn::{Gelu, Layer, Mode}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[-1f64, 0., 1.], &Device::Cpu)?;
/// let y = Gelu.forward(&x, &Mode::Eval)?.to_vec1::<f64>()?;
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
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(Self::NAME, x)?;
        let (backend, kept, id) = (tape.backend(), x.tensor().clone(), x.id());
        let out = backend.gelu(&kept)?;
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(backend.gelu_vjp(&kept, &grad)?))))
    }
}

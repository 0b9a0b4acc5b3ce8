use super::input;
use crate::kernel::response::Response;
use crate::{Error, Layer, Node, Result, Tape};

/// Local response normalization across channels, as the networks of 2012 to 2014 have it.
///
/// ```text
/// y_c = x_c (k + alpha / n sum_{j near c} x_j^2)^(-beta)        the n channels around c
/// ```
///
/// # Shapes
/// (B, H, W, C); the result has the input's.
///
/// # Gradient
/// To the input.
///
/// # Numerics
/// Alpha is divided by n and k is 1 at first, as in Caffe and PyTorch; channels outside count as 0.
///
/// # Errors
/// [`Error::Input`] if the input are no images.
///
/// # Source
/// Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3.
///
/// ```
/// # use npair_nn::{Layer, LocalResponseNorm, Mode}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[[[1f64, 1.]]]], &Device::Cpu)?;
/// // Of three channels around each, two are there: 1 + 3 / 3 (1 + 1) = 3.
/// let y = LocalResponseNorm::new(3, 3., 1., 1.)?.forward(&x, &Mode::Eval)?.flatten_all()?.to_vec1::<f64>()?;
/// assert!((y[0] - 1. / 3.).abs() < 1e-15);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LocalResponseNorm(Response);

impl LocalResponseNorm {
    const NAME: &'static str = "local_response_norm";

    /// Over `size` channels; of an even number, one more lies before.
    ///
    /// # Errors
    /// [`Error::Setting`] unless size and k are above 0, alpha and beta at least 0, and all finite.
    pub fn new(size: usize, alpha: f64, beta: f64, k: f64) -> Result<Self> {
        let legal = size > 0 && [alpha, beta].iter().all(|v| v.is_finite() && *v >= 0.) && k.is_finite() && k > 0.;
        if !legal {
            let what =
                format!("size {size}, alpha {alpha}, beta {beta}, k {k}: size and k above 0, the others at least 0");
            return Err(Error::Setting { layer: Self::NAME.to_owned(), what });
        }
        Ok(Self(Response { size, alpha, beta, k }))
    }
}

impl Layer for LocalResponseNorm {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::images(Self::NAME, x, None)?;
        let (backend, norm, kept, id) = (tape.backend(), self.0, x.tensor().clone(), x.id());
        let out = backend.response_norm(norm, &kept)?;
        Ok(tape.push(out, &[x], &[], move |grad, grads| {
            grads.add(id, || Ok(backend.response_norm_vjp(norm, &kept, &grad)?))
        }))
    }
}

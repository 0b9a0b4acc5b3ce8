use super::input;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

/// Generalized mean over the pixels of every channel, with a learned exponent: 1 is the mean, infinity the maximum.
///
/// ```text
/// y_c = (1 / (H W) sum_{i, j} max(x_ijc, epsilon)^p)^(1 / p)
/// ```
///
/// # Shapes
/// (B, H, W, C), p (1); returns (B, C).
///
/// # Gradient
/// To input and p; 0 where the input is below epsilon.
///
/// # Numerics
/// Powers are taken relative to the channel's maximum and cannot overflow; in f64 on the CPU.
///
/// # Errors
/// [`Error::Input`] if the input are no images, [`Error::Setting`] if training has brought p to 0 or below; on a
/// device, where nobody reads p, the result is NaN then.
///
/// # Source
/// Radenovic, Tolias and Chum, TPAMI 2018, equation 3.
///
/// ```
/// # use npair_nn::{GemPool, Layer, Mode, VarMap}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let varmap = VarMap::new(Streams::new(1), DType::F64, &Device::Cpu);
/// let x = Tensor::new(&[[[[1f64], [7.]]]], &Device::Cpu)?;
/// // The quadratic mean of 1 and 7: sqrt((1 + 49) / 2) = 5.
/// let y = GemPool::new(&varmap.root(), 2., 1e-6)?.forward(&x, &Mode::Eval)?.to_vec2::<f64>()?;
/// assert!((y[0][0] - 5.).abs() < 1e-14);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GemPool {
    name: String,
    epsilon: f64,
    power: Parameter,
}

impl GemPool {
    /// A layer that begins with exponent `power` (3 is usual): `p` below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless exponent and `epsilon` are above 0 and finite, [`Error::Duplicate`] if the
    /// name is taken.
    pub fn new(vb: &VarBuilder, power: f64, epsilon: f64) -> Result<Self> {
        let name = input::label(vb.prefix(), "gem_pool");
        if ![power, epsilon].iter().all(|v| v.is_finite() && *v > 0.) {
            let what = format!("exponent {power}, epsilon {epsilon}: both need to be above 0 and finite");
            return Err(Error::Setting { layer: name, what });
        }
        Ok(Self { power: vb.trainable("p", 1, Init::Const(power))?, name, epsilon })
    }
}

impl Layer for GemPool {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::images(&self.name, x, None)?;
        let (out, vjp) = tape.backend().gem(&self.name, x.tensor(), self.power.tensor(), self.epsilon)?;
        let (power, id) = (self.power.clone(), x.id());
        Ok(tape.push(out, &[x], &[&self.power], move |grad, grads| {
            grads.add_parameter(&power, || Ok(vjp.power(&grad)?))?;
            grads.add(id, || Ok(vjp.input(&grad)?))
        }))
    }
}

use super::input;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

/// Layer normalization over the last axis: features of a token, channels of a pixel.
///
/// ```text
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias        per row
/// ```
///
/// # Shapes
/// (..., C), weight and bias (C); the result has the input's.
///
/// # Gradient
/// To input, weight and bias; candle-nn's own cuts it.
///
/// # Numerics
/// The variance (divided by C) is that of differences from a first mean; sums are joined in f64.
///
/// # Errors
/// [`Error::Input`] if the last extent is not C.
///
/// # Source
/// Ba, Kiros and Hinton, 2016, equation 4.
///
/// ```
/// # use npair_nn::{Layer, LayerNorm, Mode, VarMap}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let varmap = VarMap::new(Streams::new(1), DType::F64, &Device::Cpu);
/// let norm = LayerNorm::new(&varmap.root(), 2, 1e-12)?;
/// let y = norm.forward(&Tensor::new(&[[1f64, 3.]], &Device::Cpu)?, &Mode::Eval)?.to_vec2::<f64>()?;
/// assert!((y[0][0] + 1.).abs() < 1e-9 && (y[0][1] - 1.).abs() < 1e-9);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LayerNorm {
    name: String,
    epsilon: f64,
    weight: Parameter,
    bias: Parameter,
}

impl LayerNorm {
    /// A layer for `channels` channels: `weight` (1) and `bias` (0) below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no channels or `epsilon` is not above 0, [`Error::Duplicate`] if the
    /// names are taken.
    pub fn new(vb: &VarBuilder, channels: usize, epsilon: f64) -> Result<Self> {
        let name = input::label(vb.prefix(), "layer_norm");
        if channels == 0 || epsilon.is_nan() || epsilon <= 0. {
            let what = format!("{channels} channels and epsilon {epsilon}: both need to be above 0");
            return Err(Error::Setting { layer: name, what });
        }
        let weight = vb.trainable("weight", channels, Init::Ones)?;
        Ok(Self { name, epsilon, weight, bias: vb.trainable("bias", channels, Init::Zeros)? })
    }
}

impl Layer for LayerNorm {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::last(&self.name, x, self.weight.dims()[0])?;
        let backend = tape.backend();
        let (out, vjp) = backend.layer_norm(x.tensor(), self.weight.tensor(), self.bias.tensor(), self.epsilon)?;
        let (layer, id) = (self.clone(), x.id());
        Ok(tape.push(out, &[x], &[&self.weight, &self.bias], move |grad, grads| {
            let wanted = layer.weight.trains() && layer.bias.trains() && id.wants_grad();
            if let Some([input, weight, bias]) = if wanted { vjp.all(&grad)? } else { None } {
                grads.add_parameter(&layer.weight, || Ok(weight))?;
                grads.add_parameter(&layer.bias, || Ok(bias))?;
                return grads.add(id, || Ok(input));
            }
            grads.add_parameter(&layer.weight, || Ok(vjp.weight(&grad)?))?;
            grads.add_parameter(&layer.bias, || Ok(backend.sum_rows(&grad)?))?;
            grads.add(id, || Ok(vjp.input(&grad)?))
        }))
    }
}

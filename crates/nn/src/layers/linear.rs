use super::input;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

/// Linear layer.
///
/// ```text
/// y = x W^T + b
/// ```
///
/// # Shapes
/// Input (..., I), weight (O, I), bias (O); returns (..., O).
///
/// # Gradient
/// To input, weight and bias.
///
/// # Errors
/// [`Error::Input`] if the last extent of the input is not I.
///
/// ```
/// # use npair_nn::{Init, Layer, Linear, Mode, VarMap}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let layer = Linear::with_init(&varmap.root(), 2, 1, true, Init::Const(3.))?;
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// assert_eq!(layer.forward(&x, &Mode::Eval)?.to_vec2::<f32>()?, [[9.]]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Linear {
    name: String,
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// A layer with weights from [`Init::XavierUniform`] and biases of 0: `weight` and `bias` below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent is 0, [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        Self::with_init(vb, inputs, outputs, bias, Init::XavierUniform)
    }

    /// The same with weights from `init`.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_init(vb: &VarBuilder, inputs: usize, outputs: usize, bias: bool, init: Init) -> Result<Self> {
        let name = input::label(vb.prefix(), "linear");
        if inputs * outputs == 0 {
            let what = format!("{inputs} inputs and {outputs} outputs: both need to be at least 1");
            return Err(Error::Setting { layer: name, what });
        }
        let weight = vb.trainable("weight", (outputs, inputs), init)?;
        let bias = bias.then(|| vb.trainable("bias", outputs, Init::Zeros)).transpose()?;
        Ok(Self { name, weight, bias })
    }
}

impl Layer for Linear {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let inputs = self.weight.tensor().dim(1)?;
        if x.dims().last() != Some(&inputs) {
            let want = format!("the layer takes {inputs} features in the last place");
            return Err(input::wrong(&self.name, x, want));
        }
        input::check(&self.name, x)?;
        let (backend, bias) = (tape.backend(), self.bias.as_ref().map(Parameter::tensor));
        let out = backend.linear(x.tensor(), self.weight.tensor(), bias)?;
        let (layer, kept, id) = (self.clone(), x.tensor().clone(), x.id());
        let parameters: Vec<_> = std::iter::once(&self.weight).chain(&self.bias).collect();
        Ok(tape.push(out, &[x], &parameters, move |grad, grads| {
            grads.add_parameter(&layer.weight, || Ok(backend.linear_weight_vjp(&kept, &grad)?))?;
            if let Some(bias) = &layer.bias {
                grads.add_parameter(bias, || Ok(backend.sum_rows(&grad)?))?;
            }
            grads.add(id, || Ok(backend.linear_input_vjp(layer.weight.tensor(), &grad)?))
        }))
    }
}

use super::input;
use crate::kernel::by_dtype;
use crate::kernel::linear::Affine;
use crate::op::{shaped, tensor, with};
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape, composed};

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

impl Linear {
    fn composed(&self, x: &Node, shape: &[usize], tape: &mut Tape) -> Result<Node> {
        use composed::linear;
        let bias = self.bias.as_ref().map(Parameter::tensor);
        let out = linear::forward(x.tensor(), self.weight.tensor(), bias, shape)?;
        let (layer, kept, id) = (self.clone(), x.tensor().clone(), x.id());
        let parameters: Vec<_> = std::iter::once(&self.weight).chain(&self.bias).collect();
        Ok(tape.push(out, &[x], &parameters, move |grad, grads| {
            grads.add_parameter(&layer.weight, || Ok(linear::weight_gradient(&kept, &grad)?))?;
            if let Some(bias) = &layer.bias {
                grads.add_parameter(bias, || Ok(linear::bias_gradient(&grad)?))?;
            }
            grads.add(id, || Ok(linear::input_gradient(layer.weight.tensor(), &grad, &kept)?))
        }))
    }
}

impl Layer for Linear {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let (outputs, inputs) = self.weight.tensor().dims2()?;
        let (rows, shape) = match x.dims() {
            [rows @ .., last] if *last == inputs => (rows.iter().product(), [rows, &[outputs]].concat()),
            _ => {
                return Err(input::wrong(
                    &self.name,
                    x,
                    format!("the layer takes {inputs} features in the last place"),
                ));
            }
        };
        input::check(&self.name, x)?;
        let affine = Affine { rows, inputs, outputs };
        let (name, weight) = (&self.name, self.weight.tensor());
        if composed::wanted(x.tensor()) {
            return self.composed(x, &shape, tape);
        }
        let out = by_dtype!(x.tensor().dtype(), name, T => with(x.tensor(), |x: &[T]| with(weight, |w| {
            match &self.bias {
                None => tensor(affine.forward(x, w, None), shape),
                Some(bias) => with(bias.tensor(), |b| tensor(affine.forward(x, w, Some(b)), shape)),
            }
        })))?;
        let (layer, kept, id) = (self.clone(), x.tensor().clone(), x.id());
        let parameters: Vec<_> = std::iter::once(&self.weight).chain(&self.bias).collect();
        Ok(tape.push(out, &[x], &parameters, move |grad, grads| {
            let (name, weight) = (&layer.name, layer.weight.tensor());
            grads.add_parameter(&layer.weight, || {
                Ok(by_dtype!(grad.dtype(), name, T => with(&kept, |x: &[T]| with(&grad, |g| {
                    shaped(affine.weight_gradient(x, g), weight)
                })))?)
            })?;
            if let Some(bias) = &layer.bias {
                grads.add_parameter(bias, || {
                    Ok(by_dtype!(grad.dtype(), name, T => with(&grad, |g: &[T]| {
                        shaped(affine.bias_gradient(g), bias.tensor())
                    }))?)
                })?;
            }
            grads.add(id, || {
                Ok(by_dtype!(grad.dtype(), name, T => with(weight, |w: &[T]| with(&grad, |g| {
                    shaped(affine.input_gradient(w, g), &kept)
                })))?)
            })
        }))
    }
}

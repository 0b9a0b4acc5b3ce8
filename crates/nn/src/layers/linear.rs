use super::{LayerScale, input};
use crate::backend::{Backend, Epilogue};
use crate::kernel::packed::PackedOnce;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Gradients, Layer, Node, Result, Tape};
use candle_core::Tensor;

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
    packed: PackedOnce,
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
        Ok(Self { name, weight, bias, packed: PackedOnce::default() })
    }
}

impl Linear {
    /// `gelu(x W^T + b)` with the exact [`Gelu`](crate::Gelu): the layers in turn, but the gradients of sum and bias are found in one
    /// pass over memory.
    ///
    /// # Errors
    /// Those of the layer.
    pub fn record_gelu(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let sums = self.run(x, Epilogue { bias: self.bias(), ..Epilogue::default() }, tape)?;
        let (backend, layer) = (tape.backend(), self.clone());
        let out = backend.gelu(&sums)?;
        let kept = x.clone();
        Ok(tape.push(out, &[x], &self.parameters(), move |grad, grads| {
            let bias = layer.bias.as_ref().filter(|bias| bias.trains());
            let grad = match bias {
                None => backend.gelu_vjp(&sums, &grad)?,
                Some(bias) => {
                    let (grad, sum) = backend.gelu_vjp_and_sum(&sums, &grad)?;
                    grads.add_parameter(bias, || Ok(sum))?;
                    grad
                }
            };
            drop(sums);
            layer.backward_but_bias(&kept, &grad, backend, grads)
        }))
    }

    /// `shortcut + x W^T + b`, or with a scale `shortcut + gamma (x W^T + b)`: the end of a residual branch. What is added and
    /// multiplied goes into the product's own pass over memory; the factor goes into weight and bias, and so do its gradients.
    ///
    /// # Shapes
    /// Those of the layer; the shortcut has the result's.
    ///
    /// # Errors
    /// Those of the layer, and [`Error::Input`] if the shortcut or the scale has another shape.
    pub fn record_add(&self, x: &Node, shortcut: &Node, scale: Option<&LayerScale>, tape: &mut Tape) -> Result<Node> {
        let outputs = self.weight.dims()[0];
        if shortcut.dims().split_last() != x.dims().split_last().map(|(_, head)| (&outputs, head)) {
            let want = format!("what is added to {outputs} features of it has shape {:?}", shortcut.dims());
            return Err(input::wrong(&self.name, x, want));
        }
        let gamma = scale.map(LayerScale::gamma);
        if let Some(gamma) = gamma.filter(|gamma| gamma.dims() != [outputs]) {
            let want = format!("{outputs} features are scaled by {:?} factors", gamma.dims());
            return Err(input::wrong(&self.name, x, want));
        }
        let backend = tape.backend();
        let factor = gamma.map(Parameter::tensor);
        let bias = match (self.bias(), factor) {
            (Some(bias), Some(factor)) => Some(backend.scale_channels(bias, factor)?),
            (bias, _) => bias.cloned(),
        };
        let plus = Some(shortcut.tensor());
        let out = self.run(x, Epilogue { scale: factor, bias: bias.as_ref(), plus, ..Epilogue::default() }, tape)?;
        let (layer, kept, added, gamma) = (self.clone(), x.clone(), shortcut.id(), gamma.cloned());
        let parameters: Vec<_> = self.parameters().into_iter().chain(gamma.as_ref()).cloned().collect();
        let parameters: Vec<_> = parameters.iter().collect();
        Ok(tape.push(out, &[x, shortcut], &parameters, move |grad, grads| {
            match &gamma {
                None => layer.backward(&kept, &grad, backend, grads)?,
                Some(gamma) => layer.backward_scaled(gamma, &kept, &grad, backend, grads)?,
            }
            grads.add(added, || Ok(grad))
        }))
    }

    fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref().map(Parameter::tensor)
    }

    fn parameters(&self) -> Vec<&Parameter> {
        std::iter::once(&self.weight).chain(&self.bias).collect()
    }

    fn run(&self, x: &Node, after: Epilogue, tape: &Tape) -> Result<Tensor> {
        let inputs = self.weight.tensor().dim(1)?;
        if x.dims().last() != Some(&inputs) {
            let want = format!("the layer takes {inputs} features in the last place");
            return Err(input::wrong(&self.name, x, want));
        }
        input::check(&self.name, x)?;
        let after = Epilogue { packed: tape.keeps(&self.packed), ..after };
        Ok(tape.backend().linear(x.tensor(), self.weight.tensor(), after)?)
    }

    /// The gradients of all but the bias.
    fn backward_but_bias(&self, x: &Node, grad: &Tensor, backend: &dyn Backend, grads: &mut Gradients) -> Result<()> {
        grads.add_parameter(&self.weight, || Ok(backend.linear_weight_vjp(x.tensor(), grad)?))?;
        grads.add(x.id(), || Ok(backend.linear_input_vjp(self.weight.tensor(), grad)?))
    }

    fn backward(&self, x: &Node, grad: &Tensor, backend: &dyn Backend, grads: &mut Gradients) -> Result<()> {
        if let Some(bias) = &self.bias {
            grads.add_parameter(bias, || Ok(backend.sum_rows(grad)?))?;
        }
        self.backward_but_bias(x, grad, backend, grads)
    }

    /// The same where weight and bias were scaled by `gamma`, per output o:
    ///
    /// ```text
    /// dW_o = gamma_o D_o    db_o = gamma_o s_o    dgamma_o = W_o . D_o + b_o s_o
    /// ```
    /// with D the gradient of the scaled weight and s that of the scaled bias.
    fn backward_scaled(
        &self,
        gamma: &Parameter,
        x: &Node,
        grad: &Tensor,
        backend: &dyn Backend,
        grads: &mut Gradients,
    ) -> Result<()> {
        let (weight, factor) = (self.weight.tensor(), gamma.tensor());
        let of_weight = if gamma.trains() || self.weight.trains() {
            Some(backend.linear_weight_vjp(x.tensor(), grad)?.to_dtype(weight.dtype())?)
        } else {
            None
        };
        let of_bias = match &self.bias {
            Some(bias) if gamma.trains() || bias.trains() => Some((bias, backend.sum_rows(grad)?)),
            _ => None,
        };
        if let Some(of_weight) = of_weight {
            grads.add_parameter(gamma, || Ok(backend.sum_outputs(weight, &of_weight)?))?;
            grads.add_parameter(&self.weight, || Ok(backend.scale_outputs(&of_weight, factor)?))?;
        }
        if let Some((bias, sum)) = of_bias {
            grads.add_parameter(gamma, || Ok((bias.tensor() * sum.to_dtype(bias.tensor().dtype())?)?))?;
            grads.add_parameter(bias, || Ok(backend.scale_channels(&sum, factor)?))?;
        }
        grads.add(x.id(), || Ok(backend.linear_input_vjp(&backend.scale_outputs(weight, factor)?, grad)?))
    }
}

impl Layer for Linear {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let out = self.run(x, Epilogue { bias: self.bias(), ..Epilogue::default() }, tape)?;
        let (layer, kept, backend) = (self.clone(), x.clone(), tape.backend());
        Ok(tape.push(out, &[x], &self.parameters(), move |grad, grads| layer.backward(&kept, &grad, backend, grads)))
    }
}

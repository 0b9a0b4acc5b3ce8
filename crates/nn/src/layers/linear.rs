use super::input;
use crate::params::{Init, Path};
use crate::{Error, Layer, Mode, Result, op};
use candle_core::Tensor;

/// Linear layer.
///
/// ```text
/// y = x W^T + b
/// ```
/// # Shapes    input (..., I), weight (O, I), bias (O); returns (..., O).
/// # Gradient  to input, weight and bias.
/// # Errors    [`Error::Input`] if the last extent of the input is not I.
///
/// ```
/// # use npair_nn::{Init, Layer, Linear, Mode, Params}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let params = Params::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let layer = Linear::with_init(&params.root(), 2, 1, true, Init::Const(3.))?;
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// assert_eq!(layer.forward(&x, &Mode::Eval)?.to_vec2::<f32>()?, [[9.]]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Linear {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A layer with weights from [`Init::XavierUniform`] and biases of 0: `weight` and `bias` below `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent is 0, [`Error::Duplicate`] if the names are taken.
    pub fn new(path: &Path, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        Self::with_init(path, inputs, outputs, bias, Init::XavierUniform)
    }

    /// The same with weights from `init`.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_init(path: &Path, inputs: usize, outputs: usize, bias: bool, init: Init) -> Result<Self> {
        let name = input::label(path.name(), "linear");
        if inputs * outputs == 0 {
            let what = format!("{inputs} inputs and {outputs} outputs: both need to be at least 1");
            return Err(Error::Setting { layer: name, what });
        }
        let weight = path.trainable("weight", (outputs, inputs), init)?;
        let bias = bias.then(|| path.trainable("bias", outputs, Init::Zeros)).transpose()?;
        Ok(Self { name, weight, bias })
    }
}

impl Layer for Linear {
    fn forward(&self, x: &Tensor, _: &Mode) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        let (rows, shape) = match x.dims() {
            [rows @ .., last] if *last == inputs => (rows.iter().product(), [rows, &[outputs]].concat()),
            got => {
                let (layer, want) = (self.name.clone(), format!("the layer takes {inputs} features in the last place"));
                return Err(Error::Input { layer, got: got.to_vec(), want });
            }
        };
        let affine = op::Affine { rows, inputs, outputs, shape: shape.into() };
        let x = input::check(&self.name, x)?;
        Ok(match &self.bias {
            None => x.apply_op2(&self.weight, affine)?,
            Some(bias) => x.apply_op3(&self.weight, bias, affine)?,
        })
    }
}

use super::input;
use crate::kernel::conv::Geometry;
use crate::params::{Init, Path};
use crate::{Error, Layer, Mode, Result, op};
use candle_core::Tensor;

/// Settings of a convolution, along (height, width).
///
/// ```
/// # use npair_nn::Conv2dConfig;
/// let same = Conv2dConfig::square(3).padding(1).without_bias();
/// assert_eq!(same.padding, (1, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Extents of the kernel.
    pub kernel: (usize, usize),
    /// Steps between outputs.
    pub stride: (usize, usize),
    /// Zeros on each side.
    pub padding: (usize, usize),
    /// Steps between the kernel's taps.
    pub dilation: (usize, usize),
    /// Groups of channels that do not see each other; as many as channels for a depthwise convolution.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv2dConfig {
    /// A `size` x `size` kernel with stride 1, no padding, one group and a bias.
    pub fn square(size: usize) -> Self {
        Self { kernel: (size, size), stride: (1, 1), padding: (0, 0), dilation: (1, 1), groups: 1, bias: true }
    }

    /// With `n` as both strides.
    pub fn stride(self, n: usize) -> Self {
        Self { stride: (n, n), ..self }
    }

    /// With `n` zeros on every side.
    pub fn padding(self, n: usize) -> Self {
        Self { padding: (n, n), ..self }
    }

    /// With `n` as both dilations.
    pub fn dilation(self, n: usize) -> Self {
        Self { dilation: (n, n), ..self }
    }

    /// With `n` groups.
    pub fn groups(self, n: usize) -> Self {
        Self { groups: n, ..self }
    }

    /// Without a bias: a batch norm behind the convolution would take it out again.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

/// Two-dimensional convolution (cross-correlation, as everywhere in deep learning).
///
/// ```text
/// y[b, o, i, j] = bias[o] + sum_{c, k, l} w[o, c, k, l] x[b, c, i stride + k dilation - padding, ...]
/// ```
/// # Shapes    input (B, C, H, W), weight (O, C / groups, kh, kw), bias (O); returns (B, O, H', W') with
/// `H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1`.
/// # Gradient  to input, weight and bias; sums over the batch are in a fixed order, whatever the number of threads.
/// # Errors    [`Error::Input`] if the channels differ or the kernel is larger than the padded input.
///
/// ```
/// # use npair_nn::{Conv2d, Conv2dConfig, Init, Layer, Mode, Params}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let params = Params::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let config = Conv2dConfig::square(2).without_bias();
/// let layer = Conv2d::with_init(&params.root(), 1, 1, config, Init::Ones)?;
/// // Sums of the 2 x 2 windows.
/// let x = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu)?.reshape((1, 1, 2, 3))?;
/// assert_eq!(layer.forward(&x, &Mode::Eval)?.flatten_all()?.to_vec1::<f32>()?, [12., 16.]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    name: String,
    config: Conv2dConfig,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Conv2d {
    /// A layer with weights from [`Init::KaimingNormal`] and biases of 0: `weight` and `bias` below `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent, stride or dilation is 0 or the groups do not divide the channels,
    /// [`Error::Duplicate`] if the names are taken.
    pub fn new(path: &Path, inputs: usize, outputs: usize, config: Conv2dConfig) -> Result<Self> {
        Self::with_init(path, inputs, outputs, config, Init::KaimingNormal)
    }

    /// The same with weights from `init`.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_init(path: &Path, inputs: usize, outputs: usize, config: Conv2dConfig, init: Init) -> Result<Self> {
        let name = input::label(path.name(), "conv2d");
        let Conv2dConfig { kernel, stride, dilation, groups, .. } = config;
        let refuse = |what: String| Err(Error::Setting { layer: name.clone(), what });
        let extents = [inputs, outputs, kernel.0, kernel.1, stride.0, stride.1, dilation.0, dilation.1, groups];
        if extents.contains(&0) {
            return refuse(format!("channels ({inputs}, {outputs}) and {config:?}: only the padding may be 0"));
        }
        if !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return refuse(format!("{groups} groups do not divide {inputs} inputs and {outputs} outputs"));
        }
        let weight = path.trainable("weight", (outputs, inputs / groups, kernel.0, kernel.1), init)?;
        let bias = config.bias.then(|| path.trainable("bias", outputs, Init::Zeros)).transpose()?;
        Ok(Self { name, config, weight, bias })
    }

    /// The weight's own tensor.
    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Extents for an input of `dims`.
    pub(super) fn geometry(&self, dims: [usize; 4]) -> Result<Geometry> {
        let [batch, inputs, h, w] = dims;
        let Conv2dConfig { kernel, stride, padding, dilation, groups, .. } = self.config;
        let along = |extent: usize, k: usize, s: usize, p: usize, d: usize| {
            (extent + 2 * p).checked_sub(d * (k - 1) + 1).map(|room| room / s + 1)
        };
        let rows = along(h, kernel.0, stride.0, padding.0, dilation.0);
        let columns = along(w, kernel.1, stride.1, padding.1, dilation.1);
        let (Some(rows), Some(columns)) = (rows, columns) else {
            let want =
                format!("kernel {kernel:?} with dilation {dilation:?} does not fit into it with padding {padding:?}");
            return Err(Error::Input { layer: self.name.clone(), got: dims.to_vec(), want });
        };
        let outputs = self.weight.dim(0)?;
        let (image, map) = ((h, w), (rows, columns));
        Ok(Geometry { batch, inputs, outputs, image, kernel, stride, padding, dilation, groups, map })
    }
}

impl Layer for Conv2d {
    fn forward(&self, x: &Tensor, _: &Mode) -> Result<Tensor> {
        let inputs = self.weight.dim(1)? * self.config.groups;
        let (x, dims) = input::images(&self.name, x, Some(inputs))?;
        let op = op::Convolution(self.geometry(dims)?);
        Ok(match &self.bias {
            None => x.apply_op2(&self.weight, op)?,
            Some(bias) => x.apply_op3(&self.weight, bias, op)?,
        })
    }
}

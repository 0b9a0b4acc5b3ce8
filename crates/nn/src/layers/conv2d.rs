use super::input;
use crate::backend::{Backend, Epilogue};
use crate::kernel::conv::Geometry;
use crate::kernel::packed::PackedOnce;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Gradients, Layer, Node, NodeId, Result, Tape};
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
    /// Whether the zeros are TensorFlow's: see [`Self::same`]; then `padding` is not looked at.
    pub same: bool,
}

impl Conv2dConfig {
    /// A `size` x `size` kernel with stride 1, no padding, one group and a bias.
    pub fn square(size: usize) -> Self {
        Self {
            kernel: (size, size),
            stride: (1, 1),
            padding: (0, 0),
            dilation: (1, 1),
            groups: 1,
            bias: true,
            same: false,
        }
    }

    /// With `n` as both strides.
    pub fn stride(self, n: usize) -> Self {
        Self { stride: (n, n), ..self }
    }

    /// With `n` zeros on every side.
    pub fn padding(self, n: usize) -> Self {
        Self { padding: (n, n), ..self }
    }

    /// With as many zeros as make `ceil(extent / stride)` outputs, half of them on each side and an odd one right and
    /// below: what TensorFlow calls `SAME`. Where the stride is 2 their number depends on the image.
    pub fn same(self) -> Self {
        Self { same: true, ..self }
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
/// y[b, i, j, o] = bias[o] + sum_{c, k, l} w[o, c, k, l] x[b, i stride + k dilation - padding, ..., c]
/// ```
///
/// Dense 3 x 3 kernels with stride 1 are multiplied by Winograd's F(4 x 4, 3 x 3) in f32 where that is faster: twice the rounding of
/// plain sums (decision 0030), and a pixel that is no number, or infinite, reaches all 16 outputs of its tiles.
///
/// # Shapes
/// Input (B, H, W, C), weight (O, C / groups, kh, kw), bias (O); returns (B, H', W', O) with
/// `H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1`.
///
/// # Gradient
/// To input, weight and bias; sums over the batch are in a fixed order, whatever the number of threads.
///
/// # Errors
/// [`Error::Input`] if the channels differ or the kernel is larger than the padded input.
///
/// ```
/// # use npair_nn::{Conv2d, Conv2dConfig, Init, Layer, Mode, VarMap}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let config = Conv2dConfig::square(2).without_bias();
/// let layer = Conv2d::with_init(&varmap.root(), 1, 1, config, Init::Ones)?;
/// // Sums of the 2 x 2 windows.
/// let x = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu)?.reshape((1, 2, 3, 1))?;
/// assert_eq!(layer.forward(&x, &Mode::Eval)?.flatten_all()?.to_vec1::<f32>()?, [12., 16.]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conv2d {
    name: String,
    config: Conv2dConfig,
    weight: Parameter,
    bias: Option<Parameter>,
    packed: PackedOnce,
}

impl Conv2d {
    /// A layer with weights from [`Init::KaimingNormal`] and biases of 0: `weight` and `bias` below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent, stride or dilation is 0 or the groups do not divide the channels,
    /// [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, inputs: usize, outputs: usize, config: Conv2dConfig) -> Result<Self> {
        Self::with_init(vb, inputs, outputs, config, Init::KaimingNormal)
    }

    /// The same with weights from `init`.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn with_init(vb: &VarBuilder, inputs: usize, outputs: usize, config: Conv2dConfig, init: Init) -> Result<Self> {
        let name = input::label(vb.prefix(), "conv2d");
        let Conv2dConfig { kernel, stride, dilation, groups, .. } = config;
        let refuse = |what: String| Err(Error::Setting { layer: name.clone(), what });
        let extents = [inputs, outputs, kernel.0, kernel.1, stride.0, stride.1, dilation.0, dilation.1, groups];
        if extents.contains(&0) {
            return refuse(format!("channels ({inputs}, {outputs}) and {config:?}: only the padding may be 0"));
        }
        if !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            return refuse(format!("{groups} groups do not divide {inputs} inputs and {outputs} outputs"));
        }
        let weight = vb.trainable("weight", (outputs, inputs / groups, kernel.0, kernel.1), init)?;
        let bias = config.bias.then(|| vb.trainable("bias", outputs, Init::Zeros)).transpose()?;
        Ok(Self { name, config, weight, bias, packed: PackedOnce::default() })
    }

    /// Extents for an input.
    pub(super) fn geometry(&self, x: &Node) -> Result<Geometry> {
        let inputs = self.weight.tensor().dim(1)? * self.config.groups;
        let [batch, h, w, inputs] = input::images(&self.name, x, Some(inputs))?;
        let Conv2dConfig { kernel, stride, padding, dilation, groups, same, .. } = self.config;
        // Zeros before the first pixel, and outputs.
        let along = |extent: usize, k: usize, s: usize, p: usize, d: usize| {
            let reach = d * (k - 1) + 1;
            if same {
                let count = extent.div_ceil(s);
                return Some((((count - 1) * s + reach).saturating_sub(extent) / 2, count));
            }
            (extent + 2 * p).checked_sub(reach).map(|room| (p, room / s + 1))
        };
        let down = along(h, kernel.0, stride.0, padding.0, dilation.0);
        let across = along(w, kernel.1, stride.1, padding.1, dilation.1);
        let (Some((top, rows)), Some((left, columns))) = (down, across) else {
            let want =
                format!("kernel {kernel:?} with dilation {dilation:?} does not fit into it with padding {padding:?}");
            return Err(input::wrong(&self.name, x, want));
        };
        let outputs = self.weight.tensor().dim(0)?;
        let (image, padding, map) = ((h, w), (top, left), (rows, columns));
        Ok(Geometry { batch, inputs, outputs, image, kernel, stride, padding, dilation, groups, map })
    }

    /// Output channels.
    pub(super) fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Full name, or the kind of layer if it has none.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The bias.
    pub(super) fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref().map(Parameter::tensor)
    }

    /// Weight and bias.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    /// The weights.
    pub(super) fn weight(&self) -> &Tensor {
        self.weight.tensor()
    }

    /// Where packed weights stay in evaluation.
    pub(super) fn packed(&self, tape: &Tape) -> Option<&PackedOnce> {
        tape.keeps(&self.packed)
    }

    /// The node of a convolution whose maps are `out`.
    pub(super) fn push(&self, g: Geometry, x: &Node, out: Tensor, tape: &mut Tape) -> Node {
        let (layer, kept, id, backend) = (self.clone(), x.tensor().clone(), x.id(), tape.backend());
        let parameters: Vec<_> = self.parameters().collect();
        tape.push(out, &[x], &parameters, move |grad, grads| layer.backward(&g, (&kept, id), &grad, backend, grads))
    }

    /// Gradients from that of the maps.
    pub(super) fn backward(
        &self,
        g: &Geometry,
        (x, id): (&Tensor, NodeId),
        grad: &Tensor,
        backend: &dyn Backend,
        grads: &mut Gradients,
    ) -> Result<()> {
        if let Some(bias) = &self.bias {
            grads.add_parameter(bias, || Ok(backend.sum_rows(grad)?))?;
        }
        self.backward_but_bias(g, (x, id), grad, backend, grads)
    }

    /// The same of input and weight alone.
    pub(super) fn backward_but_bias(
        &self,
        g: &Geometry,
        (x, id): (&Tensor, NodeId),
        grad: &Tensor,
        backend: &dyn Backend,
        grads: &mut Gradients,
    ) -> Result<()> {
        grads.add_parameter(&self.weight, || Ok(backend.conv_weight_vjp(g, x, grad)?))?;
        grads.add(id, || Ok(backend.conv_input_vjp(g, self.weight.tensor(), grad)?))
    }
}

impl Layer for Conv2d {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let g = self.geometry(x)?;
        let after = Epilogue { bias: self.bias(), packed: self.packed(tape), ..Epilogue::default() };
        let out = tape.backend().conv(&g, x.tensor(), self.weight(), after)?;
        Ok(self.push(g, x, out, tape))
    }
}

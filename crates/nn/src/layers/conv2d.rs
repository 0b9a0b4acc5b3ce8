use super::input;
use crate::kernel::conv::{self, Affine, Geometry};
use crate::kernel::norm::{self, Moments};
use crate::kernel::{by_dtype, column_sums};
use crate::op::{shaped, tensor, with};
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Gradients, Layer, Node, NodeId, Result, Tape, composed, op};
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
/// y[b, i, j, o] = bias[o] + sum_{c, k, l} w[o, c, k, l] x[b, i stride + k dilation - padding, ..., c]
/// ```
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
        Ok(Self { name, config, weight, bias })
    }

    /// Extents for an input.
    pub(super) fn geometry(&self, x: &Node) -> Result<Geometry> {
        let inputs = self.weight.tensor().dim(1)? * self.config.groups;
        let [batch, h, w, inputs] = input::images(&self.name, x, Some(inputs))?;
        let Conv2dConfig { kernel, stride, padding, dilation, groups, .. } = self.config;
        let along = |extent: usize, k: usize, s: usize, p: usize, d: usize| {
            (extent + 2 * p).checked_sub(d * (k - 1) + 1).map(|room| room / s + 1)
        };
        let rows = along(h, kernel.0, stride.0, padding.0, dilation.0);
        let columns = along(w, kernel.1, stride.1, padding.1, dilation.1);
        let (Some(rows), Some(columns)) = (rows, columns) else {
            let want =
                format!("kernel {kernel:?} with dilation {dilation:?} does not fit into it with padding {padding:?}");
            return Err(input::wrong(&self.name, x, want));
        };
        let outputs = self.weight.tensor().dim(0)?;
        let (image, map) = ((h, w), (rows, columns));
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

    /// The bias on the host.
    pub(super) fn bias_values(&self) -> Result<Option<Vec<f64>>> {
        Ok(self.bias().map(op::values).transpose()?)
    }

    /// Weight and bias.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    /// The maps of `x`: the weights times `scale` and then, per channel, `shift` (or else the layer's own bias), what is
    /// added, and perhaps a ReLU.
    pub(super) fn compute(
        &self,
        g: &Geometry,
        x: &Tensor,
        folded: Option<(&Tensor, &Tensor)>,
        added: Option<&Tensor>,
        relu: bool,
    ) -> Result<Tensor> {
        let name = &self.name;
        let shape = (g.batch, g.map.0, g.map.1, g.outputs);
        let bias = self.bias();
        if composed::wanted(x) {
            let (scale, bias) = (folded.map(|f| f.0), folded.map(|f| f.1).or(bias));
            let after = composed::conv::After { scale, bias, plus: added, relu };
            return Ok(composed::conv::forward(g, x, self.weight.tensor(), after)?);
        }
        Ok(by_dtype!(x.dtype(), name, T => with(x, |x: &[T]| with(self.weight.tensor(), |w| {
            let run = |scale: Option<&[T]>, bias: Option<&[T]>| match added {
                None => Ok(conv::forward(g, x, w, Affine { scale, bias, plus: None, relu })),
                Some(added) => with(added, |plus| {
                    Ok(conv::forward(g, x, w, Affine { scale, bias, plus: Some(plus), relu }))
                }),
            };
            let out = match (folded, bias) {
                (Some((scale, shift)), _) => with(scale, |a| with(shift, |b| run(Some(a), Some(b)))),
                (None, Some(bias)) => with(bias, |b| run(None, Some(b))),
                (None, None) => run(None, None),
            };
            tensor(out?, shape)
        })))?)
    }

    /// The maps of `x` and the moments of their channels.
    pub(super) fn compute_with_moments(&self, g: &Geometry, x: &Tensor) -> Result<(Tensor, Moments)> {
        let (name, bias) = (&self.name, self.bias());
        Ok(by_dtype!(x.dtype(), name, T => with(x, |x: &[T]| with(self.weight.tensor(), |w| {
            let run = |bias: Option<&[T]>| {
                conv::forward_with_moments(g, x, w, Affine { scale: None, bias, plus: None, relu: false }, true)
            };
            let (out, moments) = match bias {
                Some(bias) => with(bias, |b| Ok(run(Some(b))))?,
                None => run(None),
            };
            let moments = moments.unwrap_or_else(|| norm::moments(g.outputs, &out));
            Ok((tensor(out, (g.batch, g.map.0, g.map.1, g.outputs))?, moments))
        })))?)
    }

    /// A pass whose maps are `out`.
    pub(super) fn push(&self, g: Geometry, x: &Node, out: Tensor, tape: &mut Tape) -> Node {
        let (layer, kept, id) = (self.clone(), x.tensor().clone(), x.id());
        let parameters: Vec<_> = self.parameters().collect();
        tape.push(out, &[x], &parameters, move |grad, grads| layer.backward(&g, &kept, id, &grad, grads))
    }

    /// Gradients from that of the maps.
    pub(super) fn backward(
        &self,
        g: &Geometry,
        x: &Tensor,
        id: NodeId,
        grad: &Tensor,
        grads: &mut Gradients,
    ) -> Result<()> {
        let (name, weight) = (&self.name, self.weight.tensor());
        if composed::wanted(x) {
            grads.add_parameter(&self.weight, || Ok(composed::conv::weight_gradient(g, x, grad)?))?;
            if let Some(bias) = &self.bias {
                grads.add_parameter(bias, || Ok(composed::conv::bias_gradient(grad)?))?;
            }
            return grads.add(id, || Ok(composed::conv::input_gradient(g, weight, grad)?));
        }
        grads.add_parameter(&self.weight, || {
            Ok(by_dtype!(x.dtype(), name, T => with(x, |x: &[T]| with(grad, |d| {
                shaped(conv::weight_gradient(g, x, d), weight)
            })))?)
        })?;
        if let Some(bias) = &self.bias {
            grads.add_parameter(bias, || {
                Ok(by_dtype!(x.dtype(), name, T => with(grad, |d: &[T]| {
                    shaped(column_sums(g.outputs, d), bias.tensor())
                }))?)
            })?;
        }
        grads.add(id, || {
            Ok(by_dtype!(x.dtype(), name, T => with(weight, |w: &[T]| with(grad, |d| {
                shaped(conv::input_gradient(g, w, d), x)
            })))?)
        })
    }
}

impl Layer for Conv2d {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let g = self.geometry(x)?;
        let out = self.compute(&g, x.tensor(), None, None, false)?;
        Ok(self.push(g, x, out, tape))
    }
}

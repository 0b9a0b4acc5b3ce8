//! What the operations on a tape are computed with: one interface, and everything that differs between the CPU and a
//! device behind it. Layers compute extents and say what depends on what; arithmetic they ask of their tape's backend.

mod composed;
mod cpu;

pub use composed::Composed;
pub use cpu::Cpu;

use crate::kernel::activation::Activation;
use crate::kernel::adaptive::Adaptive;
use crate::kernel::attention::Heads;
use crate::kernel::conv::Geometry;
use crate::kernel::norm::Moments;
use crate::kernel::packed::PackedOnce;
use crate::kernel::pool::Window;
use crate::kernel::response::Response;
use candle_core::{DType, Device, Result, Shape, Tensor, Var};

/// The backend for tensors on a device: kernels on the CPU, elsewhere compositions of candle's operations.
pub(crate) fn of(device: &Device) -> &'static dyn Backend {
    if device.is_cpu() { &Cpu } else { &Composed }
}

/// Numbers made on the host, on their way to a device. They get their number type first: not every device has f64.
pub(crate) fn upload(values: Vec<f64>, shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// From the gradient of an operation's result to that of its input (a vector-Jacobian product).
pub type Vjp = Box<dyn FnOnce(&Tensor) -> Result<Tensor> + Send>;

/// The arithmetic of the layers: [`Cpu`] or [`Composed`], as the tensors' device wants it. A tape has one: see
/// [`forward_on`](crate::forward_on).
///
/// Images are (B, H, W, C). What ends in `_vjp` leads the gradient of the result back to what its name says; what it needs of
/// the pass is handed to it again, or kept in a closure where that depends on the backend.
pub trait Backend: std::fmt::Debug + Send + Sync + 'static {
    /// A value, or a gradient, as passes compute with it: where [`NetPrecision`](crate::NetPrecision) says so, in 16 bits.
    fn enter(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
    /// The sum of two tensors of one shape.
    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;
    /// A gradient whose tiny entries are 0, where subnormal numbers are slow.
    fn flush_to_zero(&self, grad: &Tensor) -> Result<Tensor>;

    /// An activation.
    fn activate(&self, activation: Activation, x: &Tensor) -> Result<Tensor>;
    /// From its input, or from its result where that [shows the slope](Activation::shows_its_slope).
    fn activate_vjp(&self, activation: Activation, x: &Tensor, grad: &Tensor) -> Result<Tensor>;
    /// The same, and the sums of what it gives over all axes but the last.
    fn activate_vjp_and_sum(&self, activation: Activation, x: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
        let grad = self.activate_vjp(activation, x, grad)?;
        let sum = self.sum_rows(&grad)?;
        Ok((grad, sum))
    }
    /// `x Phi(x)`.
    fn gelu(&self, x: &Tensor) -> Result<Tensor>;
    /// From its input, and the sums of what it gives over all axes but the last.
    fn gelu_vjp_and_sum(&self, x: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
        let grad = self.gelu_vjp(x, grad)?;
        let sum = self.sum_rows(&grad)?;
        Ok((grad, sum))
    }
    /// From its input.
    fn gelu_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor>;
    /// Over the last axis.
    fn softmax(&self, x: &Tensor) -> Result<Tensor>;
    /// From its result.
    fn softmax_vjp(&self, out: &Tensor, grad: &Tensor) -> Result<Tensor>;

    /// The sum over all axes but the last, (C).
    fn sum_rows(&self, x: &Tensor) -> Result<Tensor>;
    /// The same of the entrywise product.
    fn sum_products(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;
    /// Every channel times its own factor, (C).
    fn scale_channels(&self, x: &Tensor, factors: &Tensor) -> Result<Tensor>;
    /// Every image times its own factor.
    fn scale_images(&self, x: &Tensor, factors: &[f64]) -> Result<Tensor>;

    /// Every channel of an image times a factor of its own, (B, 1, 1, C).
    fn gate(&self, x: &Tensor, factors: &Tensor) -> Result<Tensor>;
    /// Gradient of the factors.
    fn gate_factors_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor>;

    /// `x W^T` of the last axis, and what follows it.
    fn linear(&self, x: &Tensor, weight: &Tensor, after: Epilogue) -> Result<Tensor>;
    /// Gradient of the weight.
    fn linear_weight_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor>;
    /// Gradient of the input.
    fn linear_input_vjp(&self, weight: &Tensor, grad: &Tensor) -> Result<Tensor>;

    /// The maps of a convolution.
    fn conv(&self, g: &Geometry, x: &Tensor, weight: &Tensor, after: Epilogue) -> Result<Tensor>;
    /// The same plus a bias, and the moments of the maps' channels if they come cheaply.
    fn conv_with_moments(
        &self,
        g: &Geometry,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Moments>)>;
    /// Gradient of the weight.
    fn conv_weight_vjp(&self, g: &Geometry, x: &Tensor, grad: &Tensor) -> Result<Tensor>;
    /// Gradient of the input.
    fn conv_input_vjp(&self, g: &Geometry, weight: &Tensor, grad: &Tensor) -> Result<Tensor>;

    /// Sums of the entrywise product of two weights over all axes but the first, (O).
    fn sum_outputs(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        (a * b)?.flatten_from(1)?.sum(1)
    }
    /// The weight of a convolution, that of every output channel times its own factor, (O).
    fn scale_outputs(&self, weight: &Tensor, factors: &Tensor) -> Result<Tensor>;

    /// Batch norm of images.
    fn batch_norm(&self, x: &Tensor, norm: &BatchNorm, call: BatchNormCall) -> Result<(Tensor, BatchNormVjp)>;
    /// Scale and shift per channel, like `like`, that do what the norm does in evaluation behind a convolution with this
    /// bias.
    fn fold(&self, norm: &BatchNorm, bias: Option<&Tensor>, like: &Tensor) -> Result<(Tensor, Tensor)>;
    /// Gradient of the norm's weight through [`Self::fold`], from those of the folded weight and of the shift.
    fn fold_vjp(&self, norm: &BatchNorm, conv: Folded, weight: &Tensor, shift: &Tensor) -> Result<Tensor>;
    /// Layer norm over the last axis.
    fn layer_norm(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        epsilon: f64,
    ) -> Result<(Tensor, Box<dyn LayerNormVjp>)>;
    /// Local response norm.
    fn response_norm(&self, norm: Response, x: &Tensor) -> Result<Tensor>;
    /// From its input.
    fn response_norm_vjp(&self, norm: Response, x: &Tensor, grad: &Tensor) -> Result<Tensor>;

    /// Largest value of every window; how its gradient is found if that is `wanted`.
    fn max_pool(&self, w: &Window, x: &Tensor, wanted: bool) -> Result<(Tensor, Option<Vjp>)>;
    /// Mean of every window, in the given shape.
    fn mean_pool(&self, w: &Window, count_padding: bool, x: &Tensor, shape: &[usize]) -> Result<Tensor>;
    /// Its gradient.
    fn mean_pool_vjp(&self, w: &Window, count_padding: bool, grad: &Tensor) -> Result<Tensor>;
    /// Means over windows that follow from the map's extents.
    fn adaptive_pool(&self, pool: &Adaptive, x: &Tensor) -> Result<Tensor>;
    /// Its gradient.
    fn adaptive_pool_vjp(&self, pool: &Adaptive, grad: &Tensor) -> Result<Tensor>;
    /// Generalized mean of the pixels of every channel: (B, C).
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an exponent of 0 or less, where it can be looked at.
    fn gem(&self, name: &str, x: &Tensor, power: &Tensor, epsilon: f64) -> crate::Result<(Tensor, Box<dyn GemVjp>)>;

    /// Tensors side by side along the last axis.
    fn concat(&self, parts: &[&Tensor]) -> Result<Tensor>;
    /// Entries `from..from + width` of the last axis.
    fn columns(&self, x: &Tensor, from: usize, width: usize) -> Result<Tensor>;
    /// The transpose of every one of the matrices (rows, columns) that stand one after the other, in the given shape.
    fn transpose(&self, x: &Tensor, extents: (usize, usize), shape: &[usize]) -> Result<Tensor>;

    /// Attention among tokens: (B, T, 3 C) to (B, T, C).
    fn attention(&self, heads: Heads, qkv: &Tensor) -> Result<(Tensor, Vjp)>;
    /// A class token before the tokens of every image, and the embedding of their positions added.
    fn class_token(&self, grids: Grids, x: &Tensor, class: &Tensor, positions: &Tensor) -> Result<Tensor>;
    /// Gradients of all tokens summed over the images: (1, T, D).
    fn sum_images(&self, grad: &Tensor) -> Result<Tensor>;
    /// Gradient of the stored embedding from that of all tokens, summed.
    fn positions_vjp(&self, grids: Grids, sum: &Tensor) -> Result<Tensor>;
    /// All tokens but the first of every image.
    fn without_first(&self, x: &Tensor) -> Result<Tensor>;
    /// The first token of every image.
    fn first(&self, x: &Tensor) -> Result<Tensor>;
    /// Its gradient, of `tokens` tokens.
    fn first_vjp(&self, grad: &Tensor, tokens: usize) -> Result<Tensor>;
}

/// What follows the sums of a convolution, per output channel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Factor of the weights, if not 1.
    pub scale: Option<&'a Tensor>,
    /// What is added per channel.
    pub bias: Option<&'a Tensor>,
    /// Maps that are added.
    pub plus: Option<&'a Tensor>,
    /// What comes last.
    pub activation: Activation,
    /// Where a backend that packs the weights may keep them for the next pass.
    pub packed: Option<&'a PackedOnce>,
}

/// Parameters and buffers of a batch norm.
#[derive(Debug)]
pub struct BatchNorm<'a> {
    /// Scale, (C).
    pub weight: &'a Tensor,
    /// Shift, (C).
    pub bias: &'a Tensor,
    /// Running mean, (C).
    pub mean: &'a Var,
    /// Running variance, (C).
    pub variance: &'a Var,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// A convolution that a norm with constant statistics is folded into.
#[derive(Debug, Clone, Copy)]
pub struct Folded<'a> {
    /// Its weight, as it was before.
    pub weight: &'a Tensor,
    /// Its bias.
    pub bias: Option<&'a Tensor>,
}

/// What a batch norm does in a pass.
#[derive(Debug)]
pub struct BatchNormCall<'a> {
    /// None for the running statistics.
    pub batch: Option<BatchStatistics>,
    /// What is added behind the norm.
    pub shortcut: Option<&'a Tensor>,
    /// What comes last.
    pub activation: Activation,
}

/// The statistics of a batch, which a norm takes in training.
#[derive(Debug)]
pub struct BatchStatistics {
    /// The moments, if they are known already.
    pub known: Option<Moments>,
    /// By how much the running statistics move towards them; none leaves them as they are.
    pub momentum: Option<f64>,
}

/// Gradients of a batch norm from that of its result; with the flag, that of the input too.
pub type BatchNormVjp = Box<dyn FnOnce(Tensor, bool) -> Result<BatchNormGradients> + Send>;

/// Gradients of a batch norm.
#[derive(Debug)]
pub struct BatchNormGradients {
    /// Of what was added.
    pub shortcut: Tensor,
    /// Of the scale.
    pub weight: Tensor,
    /// Of the shift.
    pub bias: Tensor,
    /// Of the input, if wanted.
    pub input: Option<Tensor>,
}

/// Gradients of a layer norm; that of its shift is [`Backend::sum_rows`].
pub trait LayerNormVjp: Send {
    /// Of the scale.
    fn weight(&self, grad: &Tensor) -> Result<Tensor>;
    /// Of the input.
    fn input(&self, grad: &Tensor) -> Result<Tensor>;
    /// Of input, scale and shift, where one pass finds them all.
    fn all(&self, _grad: &Tensor) -> Result<Option<[Tensor; 3]>> {
        Ok(None)
    }
}

/// Gradients of a generalized mean.
pub trait GemVjp: Send {
    /// Of the exponent.
    fn power(&self, grad: &Tensor) -> Result<Tensor>;
    /// Of the input.
    fn input(&self, grad: &Tensor) -> Result<Tensor>;
}

/// The grid of places that an embedding of positions is stored for, and that of an image's patches.
#[derive(Debug, Clone, Copy)]
pub struct Grids {
    /// Side of the square that is learned.
    pub stored: usize,
    /// Rows and columns of the image.
    pub image: [usize; 2],
}

impl Grids {
    /// Whether the image's grid is that of what is learned.
    pub fn are_one(self) -> bool {
        self.image == [self.stored; 2]
    }

    /// Patches of an image.
    pub fn patches(self) -> usize {
        self.image[0] * self.image[1]
    }
}

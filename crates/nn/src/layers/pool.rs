use super::input;
use crate::kernel::pool::Window;
use crate::{Error, Layer, Node, Result, Tape};

/// Settings of a pooling, along (height, width).
///
/// ```
/// # use npair_nn::PoolConfig;
/// let stem = PoolConfig::square(3).stride(2).ceil();
/// assert_eq!((stem.kernel, stem.stride, stem.ceil), ((3, 3), (2, 2), true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Extents of the window.
    pub kernel: (usize, usize),
    /// Steps between windows.
    pub stride: (usize, usize),
    /// Rows and columns around the image; at most half a window.
    pub padding: (usize, usize),
    /// Whether a last window that hangs over the edge counts, provided it begins in the image or its left padding.
    pub ceil: bool,
}

impl PoolConfig {
    /// `size` x `size` windows side by side, no padding.
    pub fn square(size: usize) -> Self {
        Self { kernel: (size, size), stride: (size, size), padding: (0, 0), ceil: false }
    }

    /// With `n` as both strides.
    pub fn stride(self, n: usize) -> Self {
        Self { stride: (n, n), ..self }
    }

    /// With `n` of padding on every side.
    pub fn padding(self, n: usize) -> Self {
        Self { padding: (n, n), ..self }
    }

    /// Rounding the number of windows up.
    pub fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    fn check(self, layer: &str) -> Result<Self> {
        let refuse = |what: String| Err(Error::Setting { layer: layer.to_owned(), what });
        if [self.kernel.0, self.kernel.1, self.stride.0, self.stride.1].contains(&0) {
            return refuse(format!("kernel {:?} and stride {:?} need to be at least 1", self.kernel, self.stride));
        }
        if self.padding.0 > self.kernel.0 / 2 || self.padding.1 > self.kernel.1 / 2 {
            return refuse(format!("padding {:?} is more than half of kernel {:?}", self.padding, self.kernel));
        }
        Ok(self)
    }

    fn window(&self, layer: &str, x: &Node) -> Result<Window> {
        let [batch, h, w, channels] = input::images(layer, x, None)?;
        let along = |extent: usize, k: usize, s: usize, p: usize| {
            // Rounding up, a window may hang over by less than a step.
            let over = if self.ceil { s - 1 } else { 0 };
            let count = (extent + 2 * p + over).checked_sub(k)? / s + 1;
            // A last window that begins in the padding on the right is dropped.
            Some(if self.ceil && (count - 1) * s >= extent + p { count - 1 } else { count })
        };
        let rows = along(h, self.kernel.0, self.stride.0, self.padding.0);
        let columns = along(w, self.kernel.1, self.stride.1, self.padding.1);
        let (Some(rows), Some(columns)) = (rows, columns) else {
            let want = format!("a window of {:?} does not fit into it with padding {:?}", self.kernel, self.padding);
            return Err(input::wrong(layer, x, want));
        };
        let Self { kernel, stride, padding, .. } = *self;
        Ok(Window { batch, channels, image: (h, w), kernel, stride, padding, map: (rows, columns) })
    }
}

/// Largest value of every window.
///
/// # Shapes
/// (B, H, W, C) to (B, H', W', C) with `H' = floor((H + 2 padding - kernel) / stride) + 1`, rounded up with
/// [`PoolConfig::ceil`].
///
/// # Gradient
/// To the first maximum of a window in the order of rows, as in PyTorch.
///
/// # Numerics
/// a window with a NaN gives NaN.
///
/// # Errors
/// [`Error::Input`] if no window fits.
///
/// ```
/// # use npair_nn::{Layer, MaxPool2d, Mode, PoolConfig}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2., 3.], [4., 5., 6.]], &Device::Cpu)?.reshape((1, 2, 3, 1))?;
/// let pool = MaxPool2d::new(PoolConfig::square(2).ceil())?;
/// assert_eq!(pool.forward(&x, &Mode::Eval)?.flatten_all()?.to_vec1::<f32>()?, [5., 6.]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MaxPool2d(PoolConfig);

impl MaxPool2d {
    /// Pooling with these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if kernel or stride is 0 or the padding more than half a window.
    pub fn new(config: PoolConfig) -> Result<Self> {
        Ok(Self(config.check("max_pool2d")?))
    }
}

impl Layer for MaxPool2d {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        const NAME: &str = "max_pool2d";
        let window = self.0.window(NAME, x)?;
        let (out, vjp) = tape.backend().max_pool(&window, x.tensor(), tape.is_recording())?;
        let Some(vjp) = vjp else { return Node::constant(&out) };
        let id = x.id();
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(vjp(&grad)?))))
    }
}

/// Mean of every window.
///
/// # Shapes
/// Those of [`MaxPool2d`].
///
/// # Gradient
/// In equal parts to the values of a window.
///
/// # Numerics
/// Padding counts as zeros in the mean, as is PyTorch's default, unless [`Self::without_padding`] is used.
///
/// # Errors
/// [`Error::Input`] if no window fits.
///
/// ```
/// # use npair_nn::{AvgPool2d, Layer, Mode, PoolConfig}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2.], [4., 5.]], &Device::Cpu)?.reshape((1, 2, 2, 1))?;
/// let pool = AvgPool2d::new(PoolConfig::square(2))?;
/// assert_eq!(pool.forward(&x, &Mode::Eval)?.flatten_all()?.to_vec1::<f32>()?, [3.]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AvgPool2d {
    config: PoolConfig,
    count_padding: bool,
}

impl AvgPool2d {
    /// Pooling with these settings, padding counted.
    ///
    /// # Errors
    /// [`Error::Setting`] if kernel or stride is 0 or the padding more than half a window.
    pub fn new(config: PoolConfig) -> Result<Self> {
        Ok(Self { config: config.check("avg_pool2d")?, count_padding: true })
    }

    /// The mean over the values that lie in the image (`count_include_pad=False`).
    pub fn without_padding(self) -> Self {
        Self { count_padding: false, ..self }
    }
}

impl Layer for AvgPool2d {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let window = self.config.window("avg_pool2d", x)?;
        mean(x, window, self.count_padding, &[window.batch, window.map.0, window.map.1, window.channels], tape)
    }
}

/// Mean of every plane.
///
/// # Shapes
/// (B, H, W, C) to (B, C).
///
/// # Gradient
/// In equal parts to the pixels.
#[derive(Debug, Clone, Copy, Default)]
pub struct GlobalAvgPool;

impl Layer for GlobalAvgPool {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let [batch, h, w, channels] = input::images("global_avg_pool", x, None)?;
        let (image, kernel) = ((h, w), (h, w));
        let window = Window { batch, channels, image, kernel, stride: (1, 1), padding: (0, 0), map: (1, 1) };
        mean(x, window, false, &[batch, channels], tape)
    }
}

fn mean(x: &Node, window: Window, count_padding: bool, shape: &[usize], tape: &mut Tape) -> Result<Node> {
    let (backend, id) = (tape.backend(), x.id());
    let out = backend.mean_pool(&window, count_padding, x.tensor(), shape)?;
    Ok(tape.push(out, &[x], &[], move |grad, grads| {
        grads.add(id, || Ok(backend.mean_pool_vjp(&window, count_padding, &grad)?))
    }))
}

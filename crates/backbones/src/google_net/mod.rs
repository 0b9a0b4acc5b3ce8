//! GoogLeNet: with batch norm as torchvision has it, and as it was published.

mod inception;
mod original;

pub use original::{GoogLeNetOriginal, GoogLeNetOriginalConfig};

use crate::pooling::{Pool, Pooling};
use crate::{Backbone, InputSpec, Result, Stages, size};
use candle_core::Tensor;
use inception::{FEATURES, Inception, POOLED, Variant};
use npair_nn::{BatchNormConfig, ConvUnit, Layer, MaxPool2d, Node, PoolConfig, Tape, VarBuilder};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`GoogLeNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoogLeNetConfig {
    /// Height and width of an image in pixels, 32 to 4,096; 224.
    pub size: ImageSize,
    /// Whether pixels that were normalized with ImageNet's means and deviations (0.485, 0.456, 0.406; 0.229, 0.224,
    /// 0.225) are turned into those with 0.5 and 0.5, which torchvision's pretrained weights want; no.
    pub transform_input: bool,
    /// Whether batch norms keep their running statistics in training, too: for fine-tuning on small batches; no.
    pub frozen_norms: bool,
    /// How the last map becomes features; the mean.
    pub pooling: Pooling,
}

impl Default for GoogLeNetConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(224), transform_input: false, frozen_norms: false, pooling: Pooling::Mean }
    }
}

/// GoogLeNet with batch norm, as torchvision has it.
///
/// It is not quite the published network: every convolution is followed by a batch norm (epsilon 0.001) instead of
/// having a bias, there is no response normalization, the branches "5 x 5" have 3 x 3 kernels, and the last pool is 2 x
/// 2. The auxiliary classifiers are left out. [`GoogLeNetOriginal`] is the network of 2014.
///
/// # Shapes
/// (B, H, W, 3) to (B, 1024). Parameters are named as torchvision names them
/// (`inception3a.branch2.0.conv.weight`).
///
/// # Source
/// Szegedy et al., CVPR 2015, table 1; batch norm: Ioffe and Szegedy, ICML 2015.
///
/// ```
/// # use npair_backbones::{Backbone, GoogLeNet, GoogLeNetConfig}; use npair_nn::VarMap; use npair_types::Streams;
/// # use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = GoogLeNet::new(&varmap.root(), GoogLeNetConfig::default())?;
/// assert_eq!((net.features(), varmap.count()), (1024, 5_599_904));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct GoogLeNet {
    config: GoogLeNetConfig,
    stem: [ConvUnit; 3],
    modules: Vec<Inception>,
    downsample: MaxPool2d,
    last_halve: MaxPool2d,
    pool: Pool,
}

impl GoogLeNet {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the size is out of range.
    pub fn new(vb: &VarBuilder, config: GoogLeNetConfig) -> Result<Self> {
        size::check("size", config.size, 32, 1)?;
        let norm = BatchNormConfig { epsilon: 1e-3, frozen: config.frozen_norms, ..Default::default() };
        let variant = Variant { norm: Some(norm), large: 3 };
        Ok(Self {
            config,
            stem: variant.stem(vb)?,
            modules: variant.modules(vb)?,
            downsample: MaxPool2d::new(PoolConfig::square(3).stride(2).ceil())?,
            last_halve: MaxPool2d::new(PoolConfig::square(2).ceil())?,
            pool: Pool::new(vb, config.pooling)?,
        })
    }
}

/// From pixels normalized with ImageNet's statistics to (x - 0.5) / 0.5.
fn transform(pixels: &Tensor) -> candle_core::Result<Tensor> {
    const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];
    let row = |values: [f64; 3]| Tensor::new(&values, pixels.device())?.to_dtype(pixels.dtype());
    let (scale, shift) = (row(DEVIATION.map(|d| d / 0.5))?, row(MEAN.map(|m| (m - 0.5) / 0.5))?);
    pixels.broadcast_mul(&scale)?.broadcast_add(&shift)
}

impl Backbone for GoogLeNet {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let transformed = match self.config.transform_input {
            true => tape.candle(pixels, transform)?,
            false => pixels.clone(),
        };
        let [first, second, third] = &self.stem;
        let x = self.downsample.record(&first.record(&transformed, tape)?, tape)?;
        let x = third.record(&second.record(&x, tape)?, tape)?;
        let mut x = self.downsample.record(&x, tape)?;
        for (at, module) in self.modules.iter().enumerate() {
            if at == POOLED[0] {
                x = self.downsample.record(&x, tape)?;
            } else if at == POOLED[1] {
                x = self.last_halve.record(&x, tape)?;
            }
            x = module.record(&x, tape)?;
        }
        self.pool.record(&x, tape)
    }

    fn features(&self) -> usize {
        FEATURES
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        inception::stages()
    }
}

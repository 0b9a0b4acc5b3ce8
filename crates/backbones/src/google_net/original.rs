use super::inception::{FEATURES, Inception, POOLED, Variant, stages};
use crate::{Backbone, InputSpec, Result, Stages, size};
use npair_nn::{ConvUnit, GlobalAvgPool, Layer, LocalResponseNorm, MaxPool2d, Node, PoolConfig, Tape, VarBuilder};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`GoogLeNetOriginal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoogLeNetOriginalConfig {
    /// Height and width of an image in pixels, 48 (what its five halvings leave a 3 x 3 window of) to 4,096; 224.
    pub size: ImageSize,
}

impl Default for GoogLeNetOriginalConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(224) }
    }
}

/// GoogLeNet as it was published and as the N-pair paper began from it: convolutions with biases and no batch norm,
/// response normalization (5 channels, alpha 1e-4, beta 3/4) behind the first pool and the third convolution, 5 x 5
/// kernels.
///
/// Its response normalization was made for pixels of 0 to 255 from which a mean was taken: pixels of order 1 it leaves
/// as they are. Without norms, training it from scratch takes patience; [`crate::GoogLeNet`] is easier.
///
/// # Shapes
/// (B, H, W, 3) to (B, 1024). Parameters are named as torchvision names those of its GoogLeNet
/// (`inception3a.branch2.0.conv.weight`, `inception3a.branch2.0.conv.bias`).
///
/// # Source
/// Szegedy et al., CVPR 2015, table 1; Sohn, NIPS 2016, section 4.
///
/// ```
/// # use npair_backbones::{Backbone, GoogLeNetOriginal, GoogLeNetOriginalConfig}; use npair_nn::VarMap;
/// # use npair_types::Streams; use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = GoogLeNetOriginal::new(&varmap.root(), GoogLeNetOriginalConfig::default())?;
/// assert_eq!((net.features(), varmap.count()), (1024, 5_973_552));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct GoogLeNetOriginal {
    config: GoogLeNetOriginalConfig,
    stem: [ConvUnit; 3],
    modules: Vec<Inception>,
    downsample: MaxPool2d,
    response: LocalResponseNorm,
}

impl GoogLeNetOriginal {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the size is out of range.
    pub fn new(vb: &VarBuilder, config: GoogLeNetOriginalConfig) -> Result<Self> {
        size::check("size", config.size, 48, 1)?;
        let variant = Variant { norm: None, large: 5 };
        Ok(Self {
            config,
            stem: variant.stem(vb)?,
            modules: variant.modules(vb)?,
            downsample: MaxPool2d::new(PoolConfig::square(3).stride(2).ceil())?,
            response: LocalResponseNorm::new(5, 1e-4, 0.75, 1.)?,
        })
    }
}

impl Backbone for GoogLeNetOriginal {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let [first, second, third] = &self.stem;
        let x = self.downsample.record(&first.record(pixels, tape)?, tape)?;
        let x = second.record(&self.response.record(&x, tape)?, tape)?;
        let x = self.response.record(&third.record(&x, tape)?, tape)?;
        let mut x = self.downsample.record(&x, tape)?;
        for (at, module) in self.modules.iter().enumerate() {
            if POOLED.contains(&at) {
                x = self.downsample.record(&x, tape)?;
            }
            x = module.record(&x, tape)?;
        }
        Ok(GlobalAvgPool.record(&x, tape)?)
    }

    fn features(&self) -> usize {
        FEATURES
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        stages()
    }
}

//! Residual networks as torchvision has them.

mod block;

pub(crate) use block::unit;

use crate::pooling::{Pool, Pooling};
use crate::{Backbone, InputSpec, Result, Stages, size};
use block::{Block, Extents};
use npair_nn::{
    Activation, BatchNormConfig, Conv2dConfig, ConvUnit, Layer, MaxPool2d, Node, PoolConfig, Tape, VarBuilder,
};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`ResNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetConfig {
    /// Height and width of an image in pixels, 32 to 4,096; 224.
    pub size: ImageSize,
    /// Whether batch norms keep their running statistics in training, too: for fine-tuning on small batches; no.
    pub frozen_norms: bool,
    /// How the last map becomes features; the mean.
    pub pooling: Pooling,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(224), frozen_norms: false, pooling: Pooling::Mean }
    }
}

/// Number of layers with weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResNetDepth {
    /// ResNet-18.
    L18,
    /// ResNet-34.
    L34,
    /// ResNet-50.
    L50,
}

impl ResNetDepth {
    /// Blocks of the four stages, and how many times wider than inside a block is its output.
    fn blocks(self) -> ([usize; 4], usize) {
        match self {
            Self::L18 => ([2, 2, 2, 2], 1),
            Self::L34 => ([3, 4, 6, 3], 1),
            Self::L50 => ([3, 4, 6, 3], 4),
        }
    }
}

/// A residual network as torchvision has it: blocks of two 3 x 3 convolutions for 18 and 34 layers, bottlenecks for 50,
/// whose stride lies in the 3 x 3 convolution.
///
/// # Shapes
/// (B, H, W, 3) to (B, 512), or (B, 2048) for 50 layers. Parameters are named as torchvision names
/// them (`layer1.0.conv1.weight`, `layer2.0.downsample.1.running_mean`).
///
/// # Source
/// He et al., CVPR 2016, table 1; the stride: Goyal et al., 2017.
///
/// ```
/// # use npair_backbones::{Backbone, ResNet, ResNetConfig, ResNetDepth}; use npair_nn::VarMap;
/// # use npair_types::Streams; use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = ResNet::new(&varmap.root(), ResNetDepth::L18, ResNetConfig::default())?;
/// // torchvision's 11,689,512 without the classifier's 513,000.
/// assert_eq!((net.features(), varmap.count()), (512, 11_176_512));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct ResNet {
    config: ResNetConfig,
    features: usize,
    stem: ConvUnit,
    downsample: MaxPool2d,
    blocks: Vec<Block>,
    pool: Pool,
    stages: Stages,
}

impl ResNet {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the size is out of range.
    pub fn new(vb: &VarBuilder, depth: ResNetDepth, config: ResNetConfig) -> Result<Self> {
        size::check("size", config.size, 32, 1)?;
        let norm = BatchNormConfig { frozen: config.frozen_norms, ..Default::default() };
        let seven = Conv2dConfig::square(7).stride(2).padding(3);
        let (stages, expansion) = depth.blocks();
        let (mut inputs, mut blocks, mut order) = (64, Vec::new(), Stages::new().then(["conv1", "bn1"]));
        for (stage, &count) in stages.iter().enumerate() {
            let width = 64 << stage;
            for number in 0..count {
                let stride = if number == 0 && stage > 0 { 2 } else { 1 };
                let name = format!("layer{}.{number}", stage + 1);
                blocks.push(Block::new(&vb.pp(&name), Extents { inputs, width, stride, expansion }, norm)?);
                order = order.then([name]);
                inputs = width * expansion;
            }
        }
        Ok(Self {
            config,
            features: inputs,
            stem: unit(vb, ["conv1", "bn1"], [3, 64], seven, Activation::Relu, norm)?,
            downsample: MaxPool2d::new(PoolConfig::square(3).stride(2).padding(1))?,
            blocks,
            pool: Pool::new(vb, config.pooling)?,
            stages: order.and("pool"),
        })
    }
}

impl Backbone for ResNet {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = self.downsample.record(&self.stem.record(pixels, tape)?, tape)?;
        for block in &self.blocks {
            x = block.record(&x, tape)?;
        }
        self.pool.record(&x, tape)
    }

    fn features(&self) -> usize {
        self.features
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        self.stages.clone()
    }
}

//! MobileNetV3.

use crate::inverted_block::{InvertedBlock, Shape};
use crate::res_net::unit;
use crate::{Backbone, InputSpec, Result, Stages, size};
use npair_nn::{
    Activation, AdaptiveAvgPool2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, Flatten, Layer, Node, Tape,
    VarBuilder,
};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`MobileNetV3`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNetV3Config {
    /// Height and width of an image in pixels, 32 to 4,096; 224.
    pub size: ImageSize,
    /// Whether batch norms keep their running statistics in training, too: for fine-tuning on small batches; no.
    pub frozen_norms: bool,
}

impl Default for MobileNetV3Config {
    fn default() -> Self {
        Self { size: ImageSize::square(224), frozen_norms: false }
    }
}

/// Which of the published networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MobileNetV3Kind {
    /// MobileNetV3-Small.
    Small,
    /// MobileNetV3-Large.
    Large,
}

/// A block: stage, kernel, stride, channels inside and out, whether it is squeezed and excited, and its activation.
struct Row(usize, usize, usize, usize, usize, bool, Activation);

const RE: Activation = Activation::Relu;
const HS: Activation = Activation::HardSwish;

/// Table 2 of the paper.
const SMALL: [Row; 11] = [
    Row(0, 3, 2, 16, 16, true, RE),
    Row(1, 3, 2, 72, 24, false, RE),
    Row(1, 3, 1, 88, 24, false, RE),
    Row(2, 5, 2, 96, 40, true, HS),
    Row(2, 5, 1, 240, 40, true, HS),
    Row(2, 5, 1, 240, 40, true, HS),
    Row(3, 5, 1, 120, 48, true, HS),
    Row(3, 5, 1, 144, 48, true, HS),
    Row(4, 5, 2, 288, 96, true, HS),
    Row(4, 5, 1, 576, 96, true, HS),
    Row(4, 5, 1, 576, 96, true, HS),
];

/// Table 1.
const LARGE: [Row; 15] = [
    Row(0, 3, 1, 16, 16, false, RE),
    Row(1, 3, 2, 64, 24, false, RE),
    Row(1, 3, 1, 72, 24, false, RE),
    Row(2, 5, 2, 72, 40, true, RE),
    Row(2, 5, 1, 120, 40, true, RE),
    Row(2, 5, 1, 120, 40, true, RE),
    Row(3, 3, 2, 240, 80, false, HS),
    Row(3, 3, 1, 200, 80, false, HS),
    Row(3, 3, 1, 184, 80, false, HS),
    Row(3, 3, 1, 184, 80, false, HS),
    Row(4, 3, 1, 480, 112, true, HS),
    Row(4, 3, 1, 672, 112, true, HS),
    Row(5, 5, 2, 672, 160, true, HS),
    Row(5, 5, 1, 960, 160, true, HS),
    Row(5, 5, 1, 960, 160, true, HS),
];

/// Channels behind the first convolution.
const STEM: usize = 16;

impl MobileNetV3Kind {
    /// The blocks, the channels of the last map and of the features.
    fn plan(self) -> (&'static [Row], usize, usize) {
        match self {
            Self::Small => (&SMALL, 576, 1024),
            Self::Large => (&LARGE, 960, 1280),
        }
    }
}

/// MobileNetV3: inverted blocks, some of them squeezed and excited, with hard-swish.
///
/// # Shapes
/// (B, H, W, 3) to (B, 1024), or (B, 1280) for the large one: behind the mean, a linear layer and hard-swish.
/// Parameters are named as timm names them (`mobilenetv3_large_100`: `blocks.3.0.conv_pwl.weight`, `conv_head.bias`).
///
/// # Source
/// Howard et al., ICCV 2019, tables 1 and 2.
///
/// ```
/// # use npair_backbones::{Backbone, MobileNetV3, MobileNetV3Config, MobileNetV3Kind}; use npair_nn::VarMap;
/// # use npair_types::Streams; use candle_core::{DType, Device};
/// for (kind, published, features) in [
///     (MobileNetV3Kind::Small, 2_542_856, 1024),
///     (MobileNetV3Kind::Large, 5_483_032, 1280),
/// ] {
///     let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
///     let net = MobileNetV3::new(&varmap.root(), kind, MobileNetV3Config::default())?;
///     // timm's without the classifier of 1,000 classes.
///     assert_eq!((net.features(), varmap.count()), (features, published - 1000 * (features + 1)));
/// }
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct MobileNetV3 {
    config: MobileNetV3Config,
    features: usize,
    stem: ConvUnit,
    blocks: Vec<InvertedBlock>,
    last: ConvUnit,
    mean: AdaptiveAvgPool2d,
    head: ConvUnit,
    stages: Stages,
}

impl MobileNetV3 {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the size is out of range.
    pub fn new(vb: &VarBuilder, kind: MobileNetV3Kind, config: MobileNetV3Config) -> Result<Self> {
        size::check("size", config.size, 32, 1)?;
        let norm = BatchNormConfig { frozen: config.frozen_norms, ..Default::default() };
        let (rows, last, features) = kind.plan();
        let (mut inputs, mut blocks, mut before) = (STEM, Vec::<InvertedBlock>::new(), (0, 0));
        let mut order = Stages::new().then(["conv_stem", "bn1"]);
        for &Row(stage, kernel, stride, width, outputs, excited, activation) in rows {
            let number = if stage == before.0 { before.1 } else { 0 };
            let shape = Shape {
                inputs,
                width,
                outputs,
                // The first depthwise convolution is alone.
                widens: !blocks.is_empty(),
                kernel,
                stride,
                same: false,
                activation,
                excited,
                norm,
                drop: 0.,
            };
            let name = format!("blocks.{stage}.{number}");
            blocks.push(InvertedBlock::new(&vb.pp(&name), shape)?);
            (inputs, before, order) = (outputs, (stage, number + 1), order.then([name]));
        }
        let last_name = format!("blocks.{}.0", before.0 + 1);
        let end = vb.pp(&last_name);
        let (one, three) = (Conv2dConfig::square(1), Conv2dConfig::square(3).stride(2).padding(1));
        let head = Conv2d::new(&vb.pp("conv_head"), last, features, one)?;
        Ok(Self {
            config,
            features,
            stem: unit(vb, ["conv_stem", "bn1"], [3, STEM], three, HS, norm)?,
            blocks,
            last: unit(&end, ["conv", "bn1"], [inputs, last], one, HS, norm)?,
            mean: AdaptiveAvgPool2d::new(1, 1)?,
            head: ConvUnit::new(head, None, HS)?,
            stages: order.then([last_name]).then(["conv_head"]),
        })
    }
}

impl Backbone for MobileNetV3 {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = self.stem.record(pixels, tape)?;
        for block in &self.blocks {
            x = block.record(&x, tape)?;
        }
        let mean = self.mean.record(&self.last.record(&x, tape)?, tape)?;
        Ok(Flatten.record(&self.head.record(&mean, tape)?, tape)?)
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

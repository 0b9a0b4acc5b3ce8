//! EfficientNet-Lite.

use crate::inverted_block::{InvertedBlock, Shape, in_steps_of_8};
use crate::pooling::{Pool, Pooling};
use crate::res_net::unit;
use crate::{Backbone, Error, InputSpec, Result, Stages, size};
use npair_nn::{Activation, BatchNormConfig, Conv2dConfig, ConvUnit, Layer, Node, Tape, VarBuilder};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`EfficientNetLite`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EfficientNetLiteConfig {
    /// Height and width of an image in pixels, 32 to 4,096; 224. The published networks were trained with 224, 240, 260,
    /// 280 and 300.
    pub size: ImageSize,
    /// Whether batch norms keep their running statistics in training, too: for fine-tuning on small batches; no.
    pub frozen_norms: bool,
    /// How the last map becomes features; the mean.
    pub pooling: Pooling,
    /// Probability with which the last block's branch is left out in training; it grows from 0 at the first block; 0.
    pub drop_path: f64,
}

impl Default for EfficientNetLiteConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(224), frozen_norms: false, pooling: Pooling::Mean, drop_path: 0. }
    }
}

/// Which of the published networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EfficientNetLiteKind {
    /// EfficientNet-Lite0.
    Lite0,
    /// EfficientNet-Lite1.
    Lite1,
    /// EfficientNet-Lite2.
    Lite2,
    /// EfficientNet-Lite3.
    Lite3,
    /// EfficientNet-Lite4.
    Lite4,
}

impl EfficientNetLiteKind {
    /// By how much it is wider and deeper than the first.
    fn factors(self) -> (f64, f64) {
        match self {
            Self::Lite0 => (1., 1.),
            Self::Lite1 => (1., 1.1),
            Self::Lite2 => (1.1, 1.2),
            Self::Lite3 => (1.2, 1.4),
            Self::Lite4 => (1.4, 1.8),
        }
    }

    /// Channels of a stage.
    fn width(self, channels: usize) -> usize {
        in_steps_of_8(channels as f64 * self.factors().0)
    }

    /// Blocks of a stage; first and last stage are not made deeper.
    fn depth(self, stage: usize) -> usize {
        let Stage { blocks, .. } = STAGES[stage];
        if stage == 0 || stage + 1 == STAGES.len() {
            return blocks;
        }
        (blocks as f64 * self.factors().1).ceil() as usize
    }
}

struct Stage {
    blocks: usize,
    kernel: usize,
    stride: usize,
    /// How many times wider than the input it is inside.
    widen: usize,
    outputs: usize,
}

const fn stage(blocks: usize, kernel: usize, stride: usize, widen: usize, outputs: usize) -> Stage {
    Stage { blocks, kernel, stride, widen, outputs }
}

/// The stages of the first network.
const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

/// Channels behind the first convolution and of the features, of all networks.
const STEM: usize = 32;
const HEAD: usize = 1280;

/// EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, so that small processors run it. Zeros
/// around the image are TensorFlow's, batch norms have an epsilon of 0.001, as the published weights want it.
///
/// # Shapes
/// (B, H, W, 3) to (B, 1280). Parameters are named as timm names them (`blocks.1.0.conv_dw.weight`); weights with the
/// names of the EfficientNet of PyTorch Hub (`_blocks.1._depthwise_conv.weight`) load as well.
///
/// # Source
/// Tan and Le, ICML 2019, table 1 and equation 3; the Lite networks: the `efficientnet/lite` folder of TensorFlow's TPU
/// repository, 2020.
///
/// ```
/// # use npair_backbones::{Backbone, EfficientNetLite, EfficientNetLiteConfig, EfficientNetLiteKind};
/// # use npair_nn::VarMap; use npair_types::Streams; use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = EfficientNetLite::new(&varmap.root(), EfficientNetLiteKind::Lite0, EfficientNetLiteConfig::default())?;
/// // timm's 4,652,008 without the classifier's 1,281,000.
/// assert_eq!((net.features(), varmap.count()), (1280, 3_371_008));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct EfficientNetLite {
    config: EfficientNetLiteConfig,
    stem: ConvUnit,
    blocks: Vec<InvertedBlock>,
    head: ConvUnit,
    pool: Pool,
    stages: Stages,
}

impl EfficientNetLite {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(vb: &VarBuilder, kind: EfficientNetLiteKind, config: EfficientNetLiteConfig) -> Result<Self> {
        size::check("size", config.size, 32, 1)?;
        if !(0. ..1.).contains(&config.drop_path) {
            let want = "a probability in [0, 1) is needed".to_owned();
            return Err(Error::Setting { name: "drop_path", got: config.drop_path.to_string(), want });
        }
        let norm = BatchNormConfig { epsilon: 1e-3, frozen: config.frozen_norms, ..Default::default() };
        let activation = Activation::Relu6;
        let total: usize = (0..STAGES.len()).map(|stage| kind.depth(stage)).sum();
        let (mut inputs, mut blocks, mut order) = (STEM, Vec::new(), Stages::new().then(["conv_stem", "bn1"]));
        for (number, Stage { kernel, stride, widen, outputs, .. }) in STAGES.into_iter().enumerate() {
            let outputs = kind.width(outputs);
            for at in 0..kind.depth(number) {
                let shape = Shape {
                    inputs,
                    width: widen * inputs,
                    outputs,
                    widens: widen > 1,
                    kernel,
                    stride: if at == 0 { stride } else { 1 },
                    same: true,
                    activation,
                    excited: false,
                    norm,
                    drop: config.drop_path * blocks.len() as f64 / total as f64,
                };
                let name = format!("blocks.{number}.{at}");
                blocks.push(InvertedBlock::new(&vb.pp(&name), shape)?);
                (inputs, order) = (outputs, order.then([name]));
            }
        }
        let three = Conv2dConfig::square(3).stride(2).same();
        Ok(Self {
            config,
            stem: unit(vb, ["conv_stem", "bn1"], [3, STEM], three, activation, norm)?,
            blocks,
            head: unit(vb, ["conv_head", "bn2"], [inputs, HEAD], Conv2dConfig::square(1), activation, norm)?,
            pool: Pool::new(vb, config.pooling)?,
            stages: order.then(["conv_head", "bn2", "pool"]),
        })
    }
}

impl Backbone for EfficientNetLite {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = self.stem.record(pixels, tape)?;
        for block in &self.blocks {
            x = block.record(&x, tape)?;
        }
        self.pool.record(&self.head.record(&x, tape)?, tape)
    }

    fn features(&self) -> usize {
        HEAD
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        self.stages.clone()
    }
}

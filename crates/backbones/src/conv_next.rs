use crate::vit::{EPSILON, INIT, Mlp};
use crate::{Backbone, Error, InputSpec, Result, Stages, size};
use npair_nn::{
    Conv2d, Conv2dConfig, DropPath, GlobalAvgPool, Layer, LayerNorm, LayerScale, Node, Tape, VarBuilder, sum,
};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`ConvNext`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConvNextConfig {
    /// Height and width of an image in pixels, 32 to 4,096; 224. What is left when it is divided by 32 is cut off.
    pub size: ImageSize,
    /// Probability with which the last block's branch is left out in training; it grows from 0 at the first block; 0.
    pub drop_path: f64,
}

impl Default for ConvNextConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(224), drop_path: 0. }
    }
}

/// Blocks and width of the four stages.
const STAGES: [(usize, usize); 4] = [(3, 96), (3, 192), (9, 384), (3, 768)];

/// ConvNeXt-T: a convolutional network put together like a transformer, with 7 x 7 depthwise convolutions instead of
/// attention.
///
/// # Shapes
/// (B, H, W, 3) to (B, 768): the mean over the last map, normed. Parameters are named as timm names
/// them (`stages.0.blocks.0.conv_dw.weight`, `head.norm.weight`).
///
/// # Source
/// Liu et al., CVPR 2022, section 2.
///
/// ```
/// # use npair_backbones::{Backbone, ConvNext, ConvNextConfig}; use npair_nn::VarMap; use npair_types::Streams;
/// # use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = ConvNext::new(&varmap.root(), ConvNextConfig::default())?;
/// // timm's 28,589,128 without the classifier's 769,000.
/// assert_eq!((net.features(), varmap.count()), (768, 27_820_128));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvNext {
    config: ConvNextConfig,
    stem: (Conv2d, LayerNorm),
    stages: Vec<Stage>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Stage {
    /// Norm and 2 x 2 convolution with stride 2; the first stage has the stem instead.
    downsample: Option<(LayerNorm, Conv2d)>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    depthwise: Conv2d,
    norm: LayerNorm,
    mlp: Mlp,
    scale: LayerScale,
    drop: DropPath,
}

impl Block {
    fn new(vb: &VarBuilder, width: usize, drop: f64) -> Result<Self> {
        let seven = Conv2dConfig::square(7).padding(3).groups(width);
        Ok(Self {
            depthwise: Conv2d::with_init(&vb.pp("conv_dw"), width, width, seven, INIT)?,
            norm: LayerNorm::new(&vb.pp("norm"), width, EPSILON)?,
            mlp: Mlp::new(&vb.pp("mlp"), width)?,
            scale: LayerScale::new(vb, width, 1e-6)?,
            drop: DropPath::new(&vb.pp("drop_path"), drop)?,
        })
    }

    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let normed = self.norm.record(&self.depthwise.record(x, tape)?, tape)?;
        if !self.drop.drops(tape) {
            return self.mlp.record_add(&normed, x, Some(&self.scale), tape);
        }
        let branch = self.scale.record(&self.mlp.record(&normed, tape)?, tape)?;
        Ok(sum(x, &self.drop.record(&branch, tape)?, tape)?)
    }
}

impl ConvNext {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(vb: &VarBuilder, config: ConvNextConfig) -> Result<Self> {
        size::check("size", config.size, 32, 1)?;
        if !(0. ..1.).contains(&config.drop_path) {
            let want = "a probability in [0, 1) is needed".to_owned();
            return Err(Error::Setting { name: "drop_path", got: config.drop_path.to_string(), want });
        }
        let patches = |vb: VarBuilder, inputs, outputs, size| {
            Conv2d::with_init(&vb, inputs, outputs, Conv2dConfig::square(size).stride(size), INIT)
        };
        let total: usize = STAGES.iter().map(|s| s.0).sum();
        let (mut stages, mut inputs, mut before) = (Vec::new(), STAGES[0].1, 0);
        for (number, (count, width)) in STAGES.into_iter().enumerate() {
            let vb = vb.pp(format_args!("stages.{number}"));
            let downsample = match number {
                0 => None,
                _ => Some((
                    LayerNorm::new(&vb.pp("downsample.0"), inputs, EPSILON)?,
                    patches(vb.pp("downsample.1"), inputs, width, 2)?,
                )),
            };
            let block = |at: usize| {
                let drop = config.drop_path * (before + at) as f64 / (total - 1) as f64;
                Block::new(&vb.pp(format_args!("blocks.{at}")), width, drop)
            };
            stages.push(Stage { downsample, blocks: (0..count).map(block).collect::<Result<_>>()? });
            (inputs, before) = (width, before + count);
        }
        let stem =
            (patches(vb.pp("stem.0"), 3, STAGES[0].1, 4)?, LayerNorm::new(&vb.pp("stem.1"), STAGES[0].1, EPSILON)?);
        Ok(Self { config, stem, stages, norm: LayerNorm::new(&vb.pp("head.norm"), inputs, EPSILON)? })
    }
}

impl Backbone for ConvNext {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let (patches, norm) = &self.stem;
        let mut x = norm.record(&patches.record(pixels, tape)?, tape)?;
        for stage in &self.stages {
            if let Some((norm, downsample)) = &stage.downsample {
                x = downsample.record(&norm.record(&x, tape)?, tape)?;
            }
            for block in &stage.blocks {
                x = block.record(&x, tape)?;
            }
        }
        Ok(self.norm.record(&GlobalAvgPool.record(&x, tape)?, tape)?)
    }

    fn features(&self) -> usize {
        STAGES[STAGES.len() - 1].1
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        let mut stages = Stages::new().then(["stem"]);
        for (number, stage) in self.stages.iter().enumerate() {
            for at in 0..stage.blocks.len() {
                stages = stages.then([format!("stages.{number}.blocks.{at}")]);
                if at == 0 && stage.downsample.is_some() {
                    stages = stages.and(format!("stages.{number}.downsample"));
                }
            }
        }
        stages.and("head.norm")
    }
}

use crate::{Backbone, Error, InputSpec, Result, Stages};
use npair_nn::{ConvBlock, Flatten, Layer, Node, Sequential, Tape, ToChannelsFirst, VarBuilder};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`ConvNet`]; [`Default`] gives the usual network for 28 x 28 grey images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNetConfig {
    /// Channels of an image; 1.
    #[serde(default = "ConvNetConfig::default_channels")]
    pub channels: usize,
    /// Height and width of an image in pixels; 28.
    #[serde(default = "ConvNetConfig::default_size")]
    pub size: ImageSize,
    /// Filters of every block; 64.
    #[serde(default = "ConvNetConfig::default_width")]
    pub width: usize,
    /// Number of blocks; 4.
    #[serde(default = "ConvNetConfig::default_blocks")]
    pub blocks: usize,
}

impl Default for ConvNetConfig {
    fn default() -> Self {
        Self {
            channels: Self::default_channels(),
            size: Self::default_size(),
            width: Self::default_width(),
            blocks: Self::default_blocks(),
        }
    }
}

impl ConvNetConfig {
    fn default_channels() -> usize {
        1
    }

    fn default_size() -> ImageSize {
        ImageSize::square(28)
    }

    fn default_width() -> usize {
        64
    }

    fn default_blocks() -> usize {
        4
    }

    /// Height and width of the last map: every block halves them, rounding down.
    fn last(self) -> [usize; 2] {
        let blocks = u32::try_from(self.blocks).unwrap_or(u32::MAX);
        self.size.dims().map(|side| side.checked_shr(blocks).unwrap_or(0))
    }

    fn check(self) -> Result<()> {
        let at_least_one = [("channels", self.channels), ("width", self.width), ("blocks", self.blocks)];
        if let Some((name, got)) = at_least_one.into_iter().find(|(_, n)| *n == 0) {
            return Err(Error::Setting { name, got: got.to_string(), want: "at least 1 is needed".to_owned() });
        }
        if self.last().contains(&0) {
            let want = format!("{} blocks, each halving the image, need at least 2^{0} pixels a side", self.blocks);
            return Err(Error::Setting { name: "size", got: self.size.to_string(), want });
        }
        Ok(())
    }
}

/// The small convolutional network of few-shot learning: blocks of 3 x 3 convolution, batch norm, ReLU and 2 x 2
/// max-pooling, all of the same width; the last map, flattened, is the features.
///
/// # Shapes
/// (B, H, W, channels) to (B, width h w), channel by channel, where h and w are H and W halved once per block, rounded down:
/// 28, 14, 7, 3, 1 for the usual four blocks.
///
/// # Source
/// Vinyals et al., NIPS 2016, section 4.1; Snell et al., NIPS 2017, section 3.1.
///
/// ```
/// # use npair_backbones::{Backbone, ConvNet, ConvNetConfig}; use npair_nn::VarMap; use npair_types::Streams;
/// # use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = ConvNet::new(&varmap.root(), ConvNetConfig::default())?;
/// assert_eq!(net.features(), 64);
/// // 9 x 64 and 3 x 9 x 64 x 64 weights of convolutions, 2 x 64 of each of four norms.
/// assert_eq!(varmap.count(), 576 + 110_592 + 512);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvNet {
    config: ConvNetConfig,
    blocks: Sequential,
}

impl ConvNet {
    /// A network below `vb`: `block1.conv.weight`, `block1.norm.weight` and so on.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is 0 or the image too small for the number of blocks.
    pub fn new(vb: &VarBuilder, config: ConvNetConfig) -> Result<Self> {
        config.check()?;
        let mut blocks = Sequential::new();
        let mut inputs = config.channels;
        for number in 1..=config.blocks {
            let vb = vb.pp(format_args!("block{number}"));
            blocks = blocks.then(ConvBlock::new(&vb, inputs, config.width)?);
            inputs = config.width;
        }
        Ok(Self { config, blocks })
    }
}

impl Backbone for ConvNet {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let maps = ToChannelsFirst.record(&self.blocks.record(pixels, tape)?, tape)?;
        Ok(Flatten.record(&maps, tape)?)
    }

    fn features(&self) -> usize {
        self.config.width * self.config.last().iter().product::<usize>()
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: self.config.channels, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        (1..=self.config.blocks).fold(Stages::new(), |stages, number| stages.then([format!("block{number}")]))
    }
}

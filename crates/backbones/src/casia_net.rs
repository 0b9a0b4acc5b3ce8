use crate::{Backbone, Error, InputSpec, Result, Stages, size};
use npair_nn::{
    Activation, Conv2d, Conv2dConfig, ConvUnit, GlobalAvgPool, Layer, MaxPool2d, Node, PoolConfig, Tape, VarBuilder,
};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`CasiaNet`]; [`Default`] gives the published network for 100 x 100 grey faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CasiaNetConfig {
    /// Channels of an image; 1.
    pub channels: usize,
    /// Height and width of an image in pixels, 16 to 4,096; 100.
    pub size: ImageSize,
}

impl Default for CasiaNetConfig {
    fn default() -> Self {
        Self { channels: 1, size: ImageSize::square(100) }
    }
}

/// Widths of the two convolutions of each of the five stages.
const WIDTHS: [[usize; 2]; 5] = [[32, 64], [64, 128], [96, 192], [128, 256], [160, 320]];

/// CASIA-Net, the network for faces that the N-pair paper trains from scratch: ten 3 x 3 convolutions with biases and
/// ReLU (none behind the last), pools that halve and round up, the mean over the last map. Dropout before the head is
/// the head's setting; the paper's source drops 40 %.
///
/// # Shapes
/// (B, H, W, channels) to (B, 320); parameters `conv11.weight`, `conv11.bias` to `conv52.bias`.
///
/// # Source
/// Yi, Lei, Liao and Li, 2014, table 2; Sohn, NIPS 2016, section 4.3.
///
/// ```
/// # use npair_backbones::{Backbone, CasiaNet, CasiaNetConfig}; use npair_nn::VarMap; use npair_types::Streams;
/// # use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = CasiaNet::new(&varmap.root(), CasiaNetConfig::default())?;
/// assert_eq!((net.features(), varmap.count()), (320, 1_751_328 + 1_440));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct CasiaNet {
    config: CasiaNetConfig,
    stages: Vec<[ConvUnit; 2]>,
    downsample: MaxPool2d,
}

impl CasiaNet {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(vb: &VarBuilder, config: CasiaNetConfig) -> Result<Self> {
        size::check("size", config.size, 16, 1)?;
        if config.channels == 0 {
            let want = "at least 1 is needed".to_owned();
            return Err(Error::Setting { name: "channels", got: "0".to_owned(), want });
        }
        let mut inputs = config.channels;
        let mut unit = |stage: usize, place: usize| -> Result<ConvUnit> {
            let outputs = WIDTHS[stage][place];
            let vb = vb.pp(format_args!("conv{}{}", stage + 1, place + 1));
            let conv = Conv2d::new(&vb, inputs, outputs, Conv2dConfig::square(3).padding(1))?;
            inputs = outputs;
            let last = (stage, place) == (WIDTHS.len() - 1, 1);
            Ok(ConvUnit::new(conv, None, if last { Activation::None } else { Activation::Relu })?)
        };
        let stages = (0..WIDTHS.len()).map(|stage| Ok([unit(stage, 0)?, unit(stage, 1)?])).collect::<Result<_>>()?;
        Ok(Self { config, stages, downsample: MaxPool2d::new(PoolConfig::square(2).ceil())? })
    }
}

impl Backbone for CasiaNet {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = pixels.clone();
        for (at, [first, second]) in self.stages.iter().enumerate() {
            if at > 0 {
                x = self.downsample.record(&x, tape)?;
            }
            x = second.record(&first.record(&x, tape)?, tape)?;
        }
        Ok(GlobalAvgPool.record(&x, tape)?)
    }

    fn features(&self) -> usize {
        WIDTHS[WIDTHS.len() - 1][1]
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: self.config.channels, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        let layers = (1..=WIDTHS.len()).flat_map(|stage| [1, 2].map(|place| format!("conv{stage}{place}")));
        layers.fold(Stages::new(), |stages, layer| stages.then([layer]))
    }
}

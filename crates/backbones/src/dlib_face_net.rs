use crate::{Backbone, InputSpec, Result, Stages, size};
use candle_core::Tensor;
use npair_nn::{
    Activation, AvgPool2d, Conv2d, Conv2dConfig, ConvUnit, GlobalAvgPool, Layer, Linear, MaxPool2d, Node, PoolConfig,
    Tape, VarBuilder, concat, sum,
};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`DlibFaceNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DlibFaceNetConfig {
    /// Height and width of an image in pixels, 104 to 4,096; 150.
    pub size: ImageSize,
}

impl Default for DlibFaceNetConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(150) }
    }
}

/// Channels of the five stages, and how many blocks behind the first one, which halves the map but in the first stage.
const STAGES: [(usize, usize); 4] = [(32, 3), (64, 3), (128, 2), (256, 2)];
/// D of the metric embedding.
const FEATURES: usize = 128;

/// dlib's network for faces: a ResNet of 29 convolutions with a metric embedding of width 128 on top, which its authors compare by
/// Euclidean distance (one person below 0.6).
///
/// The affine layers behind the convolutions, which are what its batch norms were when training ended, are part of the convolutions'
/// weights and biases here. Where a block halves its map it does so without padding, its shortcut by the mean of 2 x 2 pixels; what
/// either lacks beside the other is zeros: channels of the shortcut, a last row and column of the block.
///
/// # Shapes
/// (B, H, W, 3) to (B, 128); parameters `conv32_down.weight`, `conv32_1.conv1.weight`, ..., `conv256_down_out.conv2.bias`,
/// `fc.weight`.
///
/// # Source
/// King, JMLR 2009; the model of 2017 (`dlib_face_recognition_resnet_model_v1`), with the layer names of face-api.
///
/// ```
/// # use npair_backbones::{Backbone, DlibFaceNet, DlibFaceNetConfig}; use npair_nn::VarMap; use npair_types::Streams;
/// # use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = DlibFaceNet::new(&varmap.root(), DlibFaceNetConfig::default())?;
/// assert_eq!((net.features(), varmap.count()), (128, 5_607_488));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct DlibFaceNet {
    config: DlibFaceNetConfig,
    stem: ConvUnit,
    downsample: MaxPool2d,
    blocks: Vec<Block>,
    embedding: Linear,
    stages: Stages,
}

/// Two convolutions and a shortcut.
#[derive(Debug)]
struct Block {
    first: ConvUnit,
    second: Conv2d,
    /// Of a block that halves its map: the shortcut's mean.
    halves: Option<AvgPool2d>,
}

impl DlibFaceNet {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if the size is out of range.
    pub fn new(vb: &VarBuilder, config: DlibFaceNetConfig) -> Result<Self> {
        size::check("size", config.size, 104, 1)?;
        let (mut inputs, mut blocks, mut stages) = (STAGES[0].0, Vec::new(), Stages::new().then(["conv32_down"]));
        for (stage, &(width, count)) in STAGES.iter().enumerate() {
            if stage > 0 {
                let name = format!("conv{width}_down");
                blocks.push(Block::halving(&vb.pp(&name), inputs, width)?);
                stages = stages.then([name]);
            }
            for number in 1..=count {
                let name = format!("conv{width}_{number}");
                blocks.push(Block::new(&vb.pp(&name), width)?);
                stages = stages.then([name]);
            }
            inputs = width;
        }
        blocks.push(Block::halving(&vb.pp("conv256_down_out"), inputs, inputs)?);
        let stem = Conv2d::new(&vb.pp("conv32_down"), 3, STAGES[0].0, Conv2dConfig::square(7).stride(2))?;
        Ok(Self {
            config,
            stem: ConvUnit::new(stem, None, Activation::Relu)?,
            downsample: MaxPool2d::new(PoolConfig::square(3).stride(2))?,
            blocks,
            embedding: Linear::new(&vb.pp("fc"), inputs, FEATURES, false)?,
            stages: stages.then(["conv256_down_out"]).then(["fc"]),
        })
    }
}

impl Block {
    fn new(vb: &VarBuilder, width: usize) -> Result<Self> {
        Self::of(vb, [width, width], Conv2dConfig::square(3).padding(1), None)
    }

    fn halving(vb: &VarBuilder, inputs: usize, width: usize) -> Result<Self> {
        let mean = AvgPool2d::new(PoolConfig::square(2))?;
        Self::of(vb, [inputs, width], Conv2dConfig::square(3).stride(2), Some(mean))
    }

    fn of(
        vb: &VarBuilder,
        [inputs, width]: [usize; 2],
        first: Conv2dConfig,
        halves: Option<AvgPool2d>,
    ) -> Result<Self> {
        let first = Conv2d::new(&vb.pp("conv1"), inputs, width, first)?;
        let second = Conv2d::new(&vb.pp("conv2"), width, width, Conv2dConfig::square(3).padding(1))?;
        Ok(Self { first: ConvUnit::new(first, None, Activation::Relu)?, second, halves })
    }

    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let inner = self.second.record(&self.first.record(x, tape)?, tape)?;
        let (inner, shortcut) = match &self.halves {
            None => (inner, x.clone()),
            Some(mean) => matched(&inner, &mean.record(x, tape)?, tape)?,
        };
        Ok(Activation::Relu.record(&sum(&inner, &shortcut, tape)?, tape)?)
    }
}

/// A map and its shortcut, (B, H, W, C) both, with zeros where one is smaller than the other.
fn matched(inner: &Node, shortcut: &Node, tape: &mut Tape) -> Result<(Node, Node)> {
    let (a, b) = (inner.dims().to_vec(), shortcut.dims().to_vec());
    let larger = |map: &Tensor, other: &[usize]| {
        let mut map = map.clone();
        for (axis, want) in other.iter().enumerate() {
            map = map.pad_with_zeros(axis, 0, want.saturating_sub(map.dims()[axis]))?;
        }
        Ok(map)
    };
    // Rows and columns of the map alone, channels of the shortcut alone.
    let spatial = [a[0], b[1], b[2], a[3]];
    let inner = if a[1..3] == b[1..3] { inner.clone() } else { tape.candle(inner, |map| larger(map, &spatial))? };
    let missing = a[3].saturating_sub(b[3]);
    if missing == 0 {
        return Ok((inner, shortcut.clone()));
    }
    let zeros = Tensor::zeros((b[0], b[1], b[2], missing), shortcut.tensor().dtype(), shortcut.tensor().device())?;
    let shortcut = concat(&[shortcut, &Node::constant(&zeros)?], tape)?;
    Ok((inner, shortcut))
}

impl Backbone for DlibFaceNet {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = self.downsample.record(&self.stem.record(pixels, tape)?, tape)?;
        for block in &self.blocks {
            x = block.record(&x, tape)?;
        }
        Ok(self.embedding.record(&GlobalAvgPool.record(&x, tape)?, tape)?)
    }

    fn features(&self) -> usize {
        FEATURES
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }

    fn stages(&self) -> Stages {
        self.stages.clone()
    }
}

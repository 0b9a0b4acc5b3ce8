//! The block of MobileNets and EfficientNets: widened by a 1 x 1 convolution, filtered channel by channel, narrowed again.

use crate::Result;
use crate::res_net::unit;
use npair_nn::{
    Activation, AdaptiveAvgPool2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, DropPath, Layer, Node, Tape,
    VarBuilder, gate, sum,
};

/// Extents and settings of an [`InvertedBlock`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub inputs: usize,
    /// Channels inside; without a first convolution if they are the inputs and `widens` says no.
    pub width: usize,
    pub outputs: usize,
    /// Whether there is a first convolution.
    pub widens: bool,
    /// Of the depthwise convolution.
    pub kernel: usize,
    pub stride: usize,
    /// Whether zeros around the image are TensorFlow's.
    pub same: bool,
    pub activation: Activation,
    /// Whether there is squeeze-and-excitation.
    pub excited: bool,
    pub norm: BatchNormConfig,
    /// Probability with which the branch is left out in training.
    pub drop: f64,
}

/// The multiple of 8 that is nearest to a number of channels, but not more than a tenth below it.
pub(crate) fn in_steps_of_8(channels: f64) -> usize {
    let near = ((channels + 4.) as usize / 8 * 8).max(8);
    if (near as f64) < 0.9 * channels { near + 8 } else { near }
}

/// Factors of channels, from their means over the image: squeeze-and-excitation (Hu et al., CVPR 2018), with a ReLU between
/// two linear maps and a hard sigmoid at the end.
#[derive(Debug)]
struct Excitation {
    mean: AdaptiveAvgPool2d,
    reduce: ConvUnit,
    expand: ConvUnit,
}

impl Excitation {
    fn new(vb: &VarBuilder, width: usize) -> Result<Self> {
        let (inner, one) = (in_steps_of_8(width as f64 / 4.), Conv2dConfig::square(1));
        let map = |name: &str, inputs, outputs, activation| {
            ConvUnit::new(Conv2d::new(&vb.pp(name), inputs, outputs, one)?, None, activation)
        };
        Ok(Self {
            mean: AdaptiveAvgPool2d::new(1, 1)?,
            reduce: map("conv_reduce", width, inner, Activation::Relu)?,
            expand: map("conv_expand", inner, width, Activation::HardSigmoid)?,
        })
    }

    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let squeezed = self.reduce.record(&self.mean.record(x, tape)?, tape)?;
        Ok(gate(x, &self.expand.record(&squeezed, tape)?, tape)?)
    }
}

/// `x + f(x)`, or `f(x)` where the shape changes; f ends without an activation.
///
/// Parameters are named as timm names them: `conv_pw`, `conv_dw`, `conv_pwl`; without a first convolution `conv_dw`,
/// `conv_pw`; norms are counted, and between is `se`.
#[derive(Debug)]
pub(crate) struct InvertedBlock {
    first: Vec<ConvUnit>,
    excitation: Option<Excitation>,
    last: ConvUnit,
    /// Where input and output have one shape.
    residual: Option<DropPath>,
    /// Whether the branch is ever left out.
    drops: bool,
}

impl InvertedBlock {
    pub(crate) fn new(vb: &VarBuilder, shape: Shape) -> Result<Self> {
        let Shape { inputs, width, outputs, kernel, stride, activation, norm, .. } = shape;
        let one = Conv2dConfig::square(1);
        let square = Conv2dConfig::square(kernel).stride(stride).groups(width);
        let depthwise = if shape.same { square.same() } else { square.padding(kernel / 2) };
        let mut first = Vec::new();
        if shape.widens {
            first.push(unit(vb, ["conv_pw", "bn1"], [inputs, width], one, activation, norm)?);
        }
        let (filter, narrow) = if shape.widens {
            (["conv_dw", "bn2"], ["conv_pwl", "bn3"])
        } else {
            (["conv_dw", "bn1"], ["conv_pw", "bn2"])
        };
        first.push(unit(vb, filter, [width, width], depthwise, activation, norm)?);
        let excitation = shape.excited.then(|| Excitation::new(&vb.pp("se"), width)).transpose()?;
        let last = unit(vb, narrow, [width, outputs], one, Activation::None, norm)?;
        let same_shape = stride == 1 && inputs == outputs;
        let residual = same_shape.then(|| DropPath::new(&vb.pp("drop_path"), shape.drop)).transpose()?;
        Ok(Self { first, excitation, last, residual, drops: shape.drop > 0. })
    }

    pub(crate) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let mut inner = x.clone();
        for unit in &self.first {
            inner = unit.record(&inner, tape)?;
        }
        if let Some(excitation) = &self.excitation {
            inner = excitation.record(&inner, tape)?;
        }
        Ok(match &self.residual {
            None => self.last.record(&inner, tape)?,
            Some(drop) if self.drops => {
                let branch = self.last.record(&inner, tape)?;
                sum(x, &drop.record(&branch, tape)?, tape)?
            }
            Some(_) => self.last.record_add(&inner, x, tape)?,
        })
    }
}

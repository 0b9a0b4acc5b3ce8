//! The two residual blocks.

use crate::Result;
use npair_nn::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, Layer, Node, Tape, VarBuilder,
};

/// What a block makes of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extents {
    pub inputs: usize,
    /// Channels inside the block.
    pub width: usize,
    pub stride: usize,
    /// How many times wider the block's output is; 1 for two 3 x 3 convolutions, else a bottleneck.
    pub expansion: usize,
}

/// `relu(f(x) + shortcut(x))`.
#[derive(Debug)]
pub(super) struct Block {
    first: Vec<ConvUnit>,
    last: ConvUnit,
    /// Where the shape changes.
    shortcut: Option<ConvUnit>,
}

impl Block {
    pub(super) fn new(vb: &VarBuilder, extents: Extents, norm: BatchNormConfig) -> Result<Self> {
        let Extents { inputs, width, stride, expansion } = extents;
        let outputs = width * expansion;
        let numbered = |n: usize, inputs, outputs, config, activation| {
            unit(vb, [&format!("conv{n}"), &format!("bn{n}")], [inputs, outputs], config, activation, norm)
        };
        let (one, three, relu) = (Conv2dConfig::square(1), Conv2dConfig::square(3).padding(1), Activation::Relu);
        let (first, last) = if expansion == 1 {
            let first = vec![numbered(1, inputs, width, three.stride(stride), relu)?];
            (first, numbered(2, width, outputs, three, relu)?)
        } else {
            let first =
                vec![numbered(1, inputs, width, one, relu)?, numbered(2, width, width, three.stride(stride), relu)?];
            (first, numbered(3, width, outputs, one, relu)?)
        };
        let changes = stride != 1 || inputs != outputs;
        let names = ["downsample.0", "downsample.1"];
        let shortcut = changes
            .then(|| unit(vb, names, [inputs, outputs], one.stride(stride), Activation::None, norm))
            .transpose()?;
        Ok(Self { first, last, shortcut })
    }

    pub(super) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let shortcut = match &self.shortcut {
            Some(unit) => unit.record(x, tape)?,
            None => x.clone(),
        };
        let mut inner = x.clone();
        for unit in &self.first {
            inner = unit.record(&inner, tape)?;
        }
        Ok(self.last.record_add(&inner, &shortcut, tape)?)
    }
}

/// Convolution without a bias, norm, activation.
pub(crate) fn unit(
    vb: &VarBuilder,
    [conv, norm]: [&str; 2],
    [inputs, outputs]: [usize; 2],
    config: Conv2dConfig,
    activation: Activation,
    norms: BatchNormConfig,
) -> Result<ConvUnit> {
    let conv = Conv2d::new(&vb.pp(conv), inputs, outputs, config.without_bias())?;
    let norm = BatchNorm2d::new(&vb.pp(norm), outputs, norms)?;
    Ok(ConvUnit::new(conv, Some(norm), activation)?)
}

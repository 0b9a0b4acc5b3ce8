//! What both GoogLeNets are made of.

use crate::{Result, Stages};
use npair_nn::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, Layer, MaxPool2d, Node, PoolConfig, Tape,
    VarBuilder, concat,
};

/// What sets the published networks apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    /// The norm behind every convolution; without one, convolutions have biases.
    pub norm: Option<BatchNormConfig>,
    /// Extent of the third branch's kernel.
    pub large: usize,
}

impl Variant {
    /// Convolution, norm, ReLU: `conv.*` and `bn.*` below `vb`.
    pub(super) fn unit(self, vb: &VarBuilder, inputs: usize, outputs: usize, config: Conv2dConfig) -> Result<ConvUnit> {
        let config = if self.norm.is_some() { config.without_bias() } else { config };
        let conv = Conv2d::new(&vb.pp("conv"), inputs, outputs, config)?;
        let norm = self.norm.map(|norm| BatchNorm2d::new(&vb.pp("bn"), outputs, norm)).transpose()?;
        Ok(ConvUnit::new(conv, norm, Activation::Relu)?)
    }

    /// The trunk up to the second pool: `conv1`, `conv2`, `conv3`.
    pub(super) fn stem(self, vb: &VarBuilder) -> Result<[ConvUnit; 3]> {
        Ok([
            self.unit(&vb.pp("conv1"), 3, 64, Conv2dConfig::square(7).stride(2).padding(3))?,
            self.unit(&vb.pp("conv2"), 64, 64, Conv2dConfig::square(1))?,
            self.unit(&vb.pp("conv3"), 64, 192, Conv2dConfig::square(3).padding(1))?,
        ])
    }

    /// The nine modules: `inception3a` to `inception5b`.
    pub(super) fn modules(self, vb: &VarBuilder) -> Result<Vec<Inception>> {
        WIDTHS.iter().map(|(name, widths)| Inception::new(&vb.pp(name), *widths, self)).collect()
    }
}

/// Name of a module, and its widths: inputs, 1 x 1, 3 x 3 reduced, 3 x 3, 5 x 5 reduced, 5 x 5, behind the pool.
const WIDTHS: [(&str, [usize; 7]); 9] = [
    ("inception3a", [192, 64, 96, 128, 16, 32, 32]),
    ("inception3b", [256, 128, 128, 192, 32, 96, 64]),
    ("inception4a", [480, 192, 96, 208, 16, 48, 64]),
    ("inception4b", [512, 160, 112, 224, 24, 64, 64]),
    ("inception4c", [512, 128, 128, 256, 24, 64, 64]),
    ("inception4d", [512, 112, 144, 288, 32, 64, 64]),
    ("inception4e", [528, 256, 160, 320, 32, 128, 128]),
    ("inception5a", [832, 256, 160, 320, 32, 128, 128]),
    ("inception5b", [832, 384, 192, 384, 48, 128, 128]),
];

/// The trunk's convolutions and the modules in their order; `pool` is the last pool's, where it learns.
pub(super) fn stages() -> Stages {
    let names = ["conv1", "conv2", "conv3"].into_iter().chain(WIDTHS.iter().map(|(name, _)| *name));
    names.fold(Stages::new(), |stages, name| stages.then([name])).and("pool")
}

/// Channels behind the last module.
pub(super) const FEATURES: usize = 1024;

/// Modules before which a pool halves the map: 4a and 5a.
pub(super) const POOLED: [usize; 2] = [2, 7];

/// Four branches side by side: 1 x 1; 1 x 1 and 3 x 3; 1 x 1 and the large kernel; 3 x 3 pool and 1 x 1.
#[derive(Debug)]
pub(super) struct Inception {
    single: ConvUnit,
    middle: [ConvUnit; 2],
    large: [ConvUnit; 2],
    pool: MaxPool2d,
    pooled: ConvUnit,
}

impl Inception {
    fn new(vb: &VarBuilder, widths: [usize; 7], variant: Variant) -> Result<Self> {
        let [inputs, single, reduced, middle, squeezed, large, pooled] = widths;
        let one = Conv2dConfig::square(1);
        let same = |size: usize| Conv2dConfig::square(size).padding(size / 2);
        let unit = |branch: &str, inputs, outputs, config| variant.unit(&vb.pp(branch), inputs, outputs, config);
        Ok(Self {
            single: unit("branch1", inputs, single, one)?,
            middle: [unit("branch2.0", inputs, reduced, one)?, unit("branch2.1", reduced, middle, same(3))?],
            large: [
                unit("branch3.0", inputs, squeezed, one)?,
                unit("branch3.1", squeezed, large, same(variant.large))?,
            ],
            pool: MaxPool2d::new(PoolConfig::square(3).stride(1).padding(1).ceil())?,
            pooled: unit("branch4.1", inputs, pooled, one)?,
        })
    }

    pub(super) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let single = self.single.record(x, tape)?;
        let middle = self.middle[1].record(&self.middle[0].record(x, tape)?, tape)?;
        let large = self.large[1].record(&self.large[0].record(x, tape)?, tape)?;
        let pooled = self.pooled.record(&self.pool.record(x, tape)?, tape)?;
        Ok(concat(&[&single, &middle, &large, &pooled], tape)?)
    }
}

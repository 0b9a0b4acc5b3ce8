//! What both GoogLeNets are made of.

use crate::Result;
use npair_nn::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, Layer, MaxPool2d, Pass, Path, PoolConfig,
    Value, concat,
};

/// What sets the published networks apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flavour {
    /// The norm behind every convolution; without one, convolutions have biases.
    pub norm: Option<BatchNormConfig>,
    /// Extent of the third branch's kernel.
    pub large: usize,
}

impl Flavour {
    /// Convolution, norm, ReLU: `conv.*` and `bn.*` below `path`.
    pub(super) fn unit(self, path: &Path, inputs: usize, outputs: usize, config: Conv2dConfig) -> Result<ConvUnit> {
        let config = if self.norm.is_some() { config.without_bias() } else { config };
        let conv = Conv2d::new(&path.child("conv"), inputs, outputs, config)?;
        let norm = self.norm.map(|norm| BatchNorm2d::new(&path.child("bn"), outputs, norm)).transpose()?;
        Ok(ConvUnit::new(conv, norm, Activation::Relu)?)
    }

    /// The trunk up to the second pool: `conv1`, `conv2`, `conv3`.
    pub(super) fn stem(self, path: &Path) -> Result<[ConvUnit; 3]> {
        Ok([
            self.unit(&path.child("conv1"), 3, 64, Conv2dConfig::square(7).stride(2).padding(3))?,
            self.unit(&path.child("conv2"), 64, 64, Conv2dConfig::square(1))?,
            self.unit(&path.child("conv3"), 64, 192, Conv2dConfig::square(3).padding(1))?,
        ])
    }

    /// The nine modules: `inception3a` to `inception5b`.
    pub(super) fn modules(self, path: &Path) -> Result<Vec<Inception>> {
        WIDTHS.iter().map(|(name, widths)| Inception::new(&path.child(name), *widths, self)).collect()
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
    fn new(path: &Path, widths: [usize; 7], flavour: Flavour) -> Result<Self> {
        let [inputs, single, reduced, middle, squeezed, large, pooled] = widths;
        let one = Conv2dConfig::square(1);
        let same = |size: usize| Conv2dConfig::square(size).padding(size / 2);
        let unit = |branch: &str, inputs, outputs, config| flavour.unit(&path.child(branch), inputs, outputs, config);
        Ok(Self {
            single: unit("branch1", inputs, single, one)?,
            middle: [unit("branch2.0", inputs, reduced, one)?, unit("branch2.1", reduced, middle, same(3))?],
            large: [
                unit("branch3.0", inputs, squeezed, one)?,
                unit("branch3.1", squeezed, large, same(flavour.large))?,
            ],
            pool: MaxPool2d::new(PoolConfig::square(3).stride(1).padding(1).ceil())?,
            pooled: unit("branch4.1", inputs, pooled, one)?,
        })
    }

    pub(super) fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        let single = self.single.forward(x, pass)?;
        let middle = self.middle[1].forward(&self.middle[0].forward(x, pass)?, pass)?;
        let large = self.large[1].forward(&self.large[0].forward(x, pass)?, pass)?;
        let pooled = self.pooled.forward(&self.pool.forward(x, pass)?, pass)?;
        Ok(concat(&[&single, &middle, &large, &pooled], pass)?)
    }
}

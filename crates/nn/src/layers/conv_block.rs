use super::{Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, MaxPool2d, PoolConfig};
use crate::params::Path;
use crate::{Layer, Pass, Result, Value};

/// 3 x 3 convolution with a border of zeros, batch norm, ReLU and 2 x 2 max-pooling.
///
/// # Shapes
/// (B, H, W, C) to (B, H / 2, W / 2, O), rounded down.
///
/// # Gradient
/// To input, weight, and scale and shift of the norm.
///
/// # Errors
/// Those of the layers.
#[derive(Debug, Clone)]
pub struct ConvBlock {
    unit: ConvUnit,
    pool: MaxPool2d,
}

impl ConvBlock {
    /// A block below `path`: `conv.weight`, `norm.weight`, `norm.bias`, and the norm's buffers.
    ///
    /// # Errors
    /// Those of the layers' construction.
    pub fn new(path: &Path, inputs: usize, outputs: usize) -> Result<Self> {
        // No bias: the norm takes it out again.
        let same = Conv2dConfig::square(3).padding(1).without_bias();
        let conv = Conv2d::new(&path.child("conv"), inputs, outputs, same)?;
        let norm = BatchNorm2d::new(&path.child("norm"), outputs, BatchNormConfig::default())?;
        let unit = ConvUnit::new(conv, Some(norm), Activation::Relu)?;
        Ok(Self { unit, pool: MaxPool2d::new(PoolConfig::square(2))? })
    }
}

impl Layer for ConvBlock {
    fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        self.pool.forward(&self.unit.forward(x, pass)?, pass)
    }
}

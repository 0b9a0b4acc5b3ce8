use super::{Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, MaxPool2d, PoolConfig};
use crate::varmap::VarBuilder;
use crate::{Layer, Node, Result, Tape};

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
    /// A block below `vb`: `conv.weight`, `norm.weight`, `norm.bias`, and the norm's buffers.
    ///
    /// # Errors
    /// Those of the layers' construction.
    pub fn new(vb: &VarBuilder, inputs: usize, outputs: usize) -> Result<Self> {
        // No bias: the norm takes it out again.
        let same = Conv2dConfig::square(3).padding(1).without_bias();
        let conv = Conv2d::new(&vb.pp("conv"), inputs, outputs, same)?;
        let norm = BatchNorm2d::new(&vb.pp("norm"), outputs, BatchNormConfig::default())?;
        let unit = ConvUnit::new(conv, Some(norm), Activation::Relu)?;
        Ok(Self { unit, pool: MaxPool2d::new(PoolConfig::square(2))? })
    }
}

impl Layer for ConvBlock {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.pool.record(&self.unit.record(x, tape)?, tape)
    }
}

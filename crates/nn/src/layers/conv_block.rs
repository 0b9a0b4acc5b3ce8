use super::{BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, MaxPool2d, PoolConfig, input};
use crate::kernel::block::{Block, Memory};
use crate::op::Fused;
use crate::params::Path;
use crate::{Layer, Mode, Result};
use candle_core::{DType, Tensor};
use std::sync::OnceLock;

/// 3 x 3 convolution with a border of zeros, batch norm, ReLU and 2 x 2 max-pooling.
///
/// In f32, on a machine with AVX2 or AVX-512 and for images of up to 96 x 96 pixels, the block is one operation that
/// keeps what lies between its parts out of memory; else it is the four layers in turn. Both give the same up to
/// rounding.
///
/// # Shapes    (B, C, H, W) to (B, O, H / 2, W / 2), rounded down.
/// # Gradient  to input, weight, and scale and shift of the norm.
/// # Errors    those of the layers.
#[derive(Debug, Clone)]
pub struct ConvBlock {
    name: String,
    convolution: Conv2d,
    norm: BatchNorm2d,
    pool: MaxPool2d,
    inputs: usize,
    memory: Memory,
}

impl ConvBlock {
    /// A block below `path`: `conv.weight`, `norm.weight`, `norm.bias`, and the norm's buffers.
    ///
    /// # Errors
    /// Those of the layers' construction.
    pub fn new(path: &Path, inputs: usize, outputs: usize) -> Result<Self> {
        // No bias: the norm takes it out again.
        let same = Conv2dConfig::square(3).padding(1).without_bias();
        let norm = BatchNormConfig { relu: true, ..Default::default() };
        Ok(Self {
            name: input::label(path.name(), "conv_block"),
            convolution: Conv2d::new(&path.child("conv"), inputs, outputs, same)?,
            norm: BatchNorm2d::new(&path.child("norm"), outputs, norm)?,
            pool: MaxPool2d::new(PoolConfig::square(2))?,
            inputs,
            memory: Memory::default(),
        })
    }

    /// The four layers in turn: what [`Layer::forward`] is compared with, and does where it has no kernel.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn forward_by_layers(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let maps = self.norm.forward(&self.convolution.forward(x, mode)?, mode)?;
        self.pool.forward(&maps, mode)
    }
}

impl Layer for ConvBlock {
    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (x, dims) = input::images(&self.name, x, Some(self.inputs))?;
        let weight = self.convolution.weight();
        let geometry = self.convolution.geometry(dims)?;
        let alike = x.dtype() == DType::F32 && weight.dtype() == DType::F32;
        let Some(block) = alike.then(|| Block::new(&geometry, self.memory.clone())).flatten() else {
            return self.forward_by_layers(&x, mode);
        };
        let count = geometry.batch * geometry.pixels();
        let (statistics, cell) = self.norm.statistics(mode, count, &dims)?;
        let (epsilon, rows) = self.norm.rows()?;
        let shape = (geometry.batch, geometry.outputs, geometry.image.0 / 2, geometry.image.1 / 2).into();
        let out = x.apply_op3(weight, &rows, Fused { block, statistics, epsilon, shape, trace: OnceLock::new() })?;
        self.norm.follow(&cell, count)?;
        Ok(out)
    }
}

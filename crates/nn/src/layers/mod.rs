//! The layers.

mod batch_norm;
mod conv2d;
mod conv_block;
mod conv_unit;
mod dropout;
mod input;
mod join;
mod linear;
mod order;
mod pool;
mod relu;

pub use batch_norm::{BatchNorm2d, BatchNormConfig};
pub use conv_block::ConvBlock;
pub use conv_unit::{Activation, ConvUnit};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use join::{concat, sum};
pub use linear::Linear;
pub use order::{Flatten, ToChannelsFirst, ToChannelsLast};
pub use pool::{AvgPool2d, GlobalAvgPool, MaxPool2d, PoolConfig};
pub use relu::Relu;

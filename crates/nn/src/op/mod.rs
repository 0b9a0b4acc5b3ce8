//! The kernels as candle operations with complete gradients.
//!
//! A gradient is computed only for arguments that are tracked (`Tensor::track_op`): candle panics later if a tracked
//! argument got none, and nobody asks for one of a constant, such as the image.

mod block;
mod conv;
mod linear;
mod norm;
mod pool;
mod relu;
mod storage;

pub(crate) use block::Fused;
pub(crate) use conv::Convolution;
pub(crate) use linear::Affine;
pub(crate) use norm::{Normalisation, Statistics};
pub(crate) use pool::{MaxPool, MeanPool};
pub(crate) use relu::Rectify;

//! Layers that really train on candle: convolution, pooling, batch norm, dropout, with complete gradients on CPU.
//!
//! Parameters live in [`Params`], by name; layers are built below a [`Path`] of it and take what a pass is for, the
//! [`Mode`], with every call. They compute in f32 and f64, on the CPU, with the same bits for any number of threads.
//!
//! There is no candle-nn here. Its variables come back in random order and its first values from a generator that
//! cannot be seeded on CPU; its fused layer norm and soft-max cut gradients silently, pooling has no or wrong
//! gradients, and those of convolution take several times as long as they need (see `docs/candle.md` of the project).
//! What is left of it would be wrappers.

mod error;
mod kernel;
mod layer;
mod layers;
mod mode;
mod op;
mod params;

pub use error::{Error, Result};
pub use layer::{Layer, Sequential};
pub use layers::{
    AvgPool2d, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvBlock, Dropout, GlobalAvgPool, Linear,
    MaxPool2d, PoolConfig, Relu,
};
pub use mode::Mode;
pub use params::{Init, Params, Path};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

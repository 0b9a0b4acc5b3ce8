//! Layers that really train on candle: convolution, pooling, norms, attention, dropout, with complete gradients on CPU.
//!
//! Parameters live in a [`VarMap`], by name; layers are built from a [`VarBuilder`] of it. A [`Layer`] maps a tensor to a
//! tensor ([`Layer::forward`]) that candle differentiates like any other. Inside, a network records its operations on a
//! [`Tape`], which knows what the pass is for (the [`Mode`]) and keeps what gradients need; [`forward`] and
//! [`forward_no_grad`] run one. Layers compute in f32 and f64. On the CPU they have kernels of their own, with the same
//! bits for any number of threads; on CUDA and Metal (features `cuda`, `metal`) they are composed of candle's tensor
//! operations, and no value is read back to the host. Images inside a network are channels last, (B, H, W, C).
//!
//! There is no candle-nn here. Its variables come back in random order and its first values from a generator that
//! cannot be seeded on CPU; its fused layer norm and soft-max cut gradients silently, pooling has no or wrong
//! gradients, and those of convolution take several times as long as they need (see `docs/candle.md` of the project).
//! What is left of it would be wrappers.

mod backend;
mod chip;
mod composed;
mod error;
mod kernel;
mod layer;
mod layers;
mod memory;
mod mode;
mod precision;
mod tape;
mod varmap;

pub use backend::{Backend, Composed, Cpu};
pub use chip::optimizer::{AdamStep, adam_step, squares};
pub use error::{Error, Result};
pub use layer::{Layer, Sequential};
pub use layers::{
    Activation, AdaptiveAvgPool2d, Attention, AttentionPool, AvgPool2d, BatchNorm2d, BatchNormConfig, ClassToken,
    Conv2d, Conv2dConfig, ConvBlock, ConvUnit, DropPath, Dropout, FirstToken, Flatten, Gelu, GemPool, GlobalAvgPool,
    LayerNorm, LayerScale, Linear, LocalResponseNorm, MaxPool2d, PatchEmbed, PoolConfig, PositionEmbedding, Relu,
    Softmax, ToChannelsFirst, ToChannelsLast, concat, gate, sum,
};
pub use memory::keep_freed_memory;
pub use mode::Mode;
pub use precision::{NetPrecision, sixteen_bit_products};
pub use tape::{Gradients, Node, NodeId, Tape, backward, forward, forward_no_grad, forward_no_grad_on, forward_on};
pub use varmap::{Init, MAX_VALUES, Parameter, VarBuilder, VarMap};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

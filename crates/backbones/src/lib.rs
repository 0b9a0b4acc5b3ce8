//! Networks that map images to embeddings: the [`Backbone`] trait, the small [`ConvNet`] of few-shot learning, and
//! [`EmbeddingNet`], a backbone with a linear head, saved as a Hub-style folder of `config.json` and
//! `model.safetensors`.
#![forbid(unsafe_code)]

mod backbone;
mod config;
mod conv_net;
mod embedding_net;
mod error;
mod pretrained;

pub use backbone::{Backbone, InputSpec};
pub use config::{BackboneConfig, FORMAT, ModelConfig, Output};
pub use conv_net::{ConvNet, ConvNetConfig};
pub use embedding_net::EmbeddingNet;
pub use error::{Error, Result};
pub use pretrained::load_config;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Networks that map images to embeddings: the [`Backbone`] trait, the small [`ConvNet`] of few-shot learning, and
//! [`EmbeddingNet`], a backbone with a linear head, saved as a Hub-style folder of `config.json` and
//! `model.safetensors`. Weights that others trained come from [`Weights`]: folders, safetensors, PyTorch's `.pth`, the Hub.
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
pub use pretrained::{Hub, Interpolation, LoadReport, Pictures, Preprocess, Weights, load_config, preprocess};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

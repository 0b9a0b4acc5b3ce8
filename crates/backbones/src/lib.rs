//! Networks that map images to embeddings: the [`Backbone`] trait; the small [`ConvNet`] of few-shot learning, both
//! [`GoogLeNet`]s, [`CasiaNet`], [`ResNet`], [`Vit`] (DINOv2's, CLIP's and SigLIP's, too), [`ConvNext`], [`EfficientNetLite`], [`MobileNetV3`] and [`DlibFaceNet`]; and
//! [`EmbeddingNet`], a backbone with a linear head, saved as a Hub-style folder of `config.json` and `model.safetensors`. Weights that others trained come
//! from [`Weights`]: folders, safetensors, PyTorch's `.pth`, the Hub.
//!
//! [`EmbeddingModel`] is what training and everything after it takes: an [`EmbeddingNet`], a [`VectorNet`] over vectors of any
//! origin, a module of candle ([`CandleModel`]), or your own.
//!
//! [`FrozenExtractor`] takes in networks of other crates; with the cargo feature `candle-transformers`, families of
//! that one by name.
//!
//! Parameters have the names and shapes that torchvision and timm give them, below `backbone.` in an [`EmbeddingNet`].
#![forbid(unsafe_code)]

mod backbone;
mod casia_net;
mod config;
mod conv_net;
mod conv_next;
mod dlib_face_net;
mod efficient_net;
mod embedding_net;
mod error;
mod frozen;
mod google_net;
mod head_on_features;
mod inverted_block;
mod mobile_net;
mod model;
mod pooling;
mod pretrained;
mod res_net;
mod size;
mod stages;
mod vector_net;
mod vit;
mod word;

pub use backbone::{Backbone, InputSpec};
pub use casia_net::{CasiaNet, CasiaNetConfig};
pub use config::{BackboneConfig, EmbeddingNetConfig, FORMAT, HeadConfig, Output};
pub use conv_net::{ConvNet, ConvNetConfig};
pub use conv_next::{ConvNext, ConvNextConfig};
pub use dlib_face_net::{DlibFaceNet, DlibFaceNetConfig};
pub use efficient_net::{EfficientNetLite, EfficientNetLiteConfig, EfficientNetLiteKind};
pub use embedding_net::EmbeddingNet;
pub use error::{Error, Result};
pub use frozen::FrozenExtractor;
pub use google_net::{GoogLeNet, GoogLeNetConfig, GoogLeNetOriginal, GoogLeNetOriginalConfig};
pub use head_on_features::HeadOnFeatures;
pub use mobile_net::{MobileNetV3, MobileNetV3Config, MobileNetV3Kind};
pub use model::{CandleModel, EmbeddingModel};
pub use npair_nn::{Mode, NetPrecision, sixteen_bit_products};
pub use pooling::Pooling;
#[doc(hidden)]
pub use pretrained::hostile;
pub use pretrained::{
    Hub, Interpolation, LoadReport, Preprocess, PretrainedPreprocess, Weights, load_config, pretrained_backbone,
    pretrained_preprocess,
};
pub use res_net::{ResNet, ResNetConfig, ResNetDepth};
pub use stages::Stages;
pub use vector_net::{Architecture, VectorNet, VectorNetConfig, is_vector_net};
pub use vit::{Vit, VitConfig, VitGelu, VitKind};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

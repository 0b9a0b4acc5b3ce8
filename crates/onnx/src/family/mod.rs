//! The graphs of the networks, a room for each family.
//!
//! A room says what weights cannot: in which order layers come, strides, activations, epsilons. Widths, kernels, groups, how many
//! blocks there are and whether a block has a part are read off the weights' names and shapes.

mod casia_net;
mod conv_net;
mod conv_next;
mod dlib_face_net;
mod efficient_net;
mod google_net;
mod inverted;
mod mobile_net;
mod res_net;
mod vit;

use crate::graph::{Graph, Value};
use crate::{Error, Result};
use npair_backbones::{BackboneConfig, Pooling};

/// Epsilon of a batch norm, where a paper's code has PyTorch's own.
const EPSILON: f64 = 1e-5;
/// That of networks that were first trained with TensorFlow.
const TENSORFLOW_EPSILON: f64 = 1e-3;

/// Features of images, as the network of `config` makes them.
pub(crate) fn features(graph: &mut Graph, config: &BackboneConfig, images: Value) -> Result<Value> {
    match config {
        BackboneConfig::ConvNet(_) => conv_net::features(graph, images),
        BackboneConfig::GoogLeNet(config) => google_net::with_norms(graph, config, images),
        BackboneConfig::GoogLeNetOriginal(_) => google_net::original(graph, images),
        BackboneConfig::CasiaNet(_) => casia_net::features(graph, images),
        BackboneConfig::ResNet18(config) | BackboneConfig::ResNet34(config) | BackboneConfig::ResNet50(config) => {
            res_net::features(graph, config, images)
        }
        BackboneConfig::VitS16(config)
        | BackboneConfig::VitB16(config)
        | BackboneConfig::DinoV2S14(config)
        | BackboneConfig::DinoV2B14(config) => vit::features(graph, vit::Kind::Vit, config, images),
        BackboneConfig::ClipB32(config) | BackboneConfig::ClipB16(config) | BackboneConfig::ClipL14(config) => {
            vit::features(graph, vit::Kind::Clip, config, images)
        }
        BackboneConfig::SigLipB16(config) => vit::features(graph, vit::Kind::SigLip, config, images),
        BackboneConfig::ConvNextT(_) => conv_next::features(graph, images),
        BackboneConfig::EfficientNetLite0(config)
        | BackboneConfig::EfficientNetLite1(config)
        | BackboneConfig::EfficientNetLite2(config)
        | BackboneConfig::EfficientNetLite3(config)
        | BackboneConfig::EfficientNetLite4(config) => efficient_net::features(graph, config, images),
        BackboneConfig::DlibFaceNet(_) => dlib_face_net::features(graph, images),
        BackboneConfig::MobileNetV3Small(_) => mobile_net::features(graph, mobile_net::SMALL, images),
        BackboneConfig::MobileNetV3Large(_) => mobile_net::features(graph, mobile_net::LARGE, images),
        other => Err(Error::Architecture { name: other.architecture().to_owned() }),
    }
}

/// How the last map becomes features.
fn pooled(graph: &mut Graph, map: &Value, pooling: Pooling) -> Result<Value> {
    match pooling {
        Pooling::Mean => graph.mean(map),
        Pooling::Gem => graph.generalized_mean(map, "pool", 1e-6),
    }
}

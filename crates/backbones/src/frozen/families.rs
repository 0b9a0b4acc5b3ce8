//! Families of candle-transformers.

use super::FrozenExtractor;
use crate::{InputSpec, ResNetDepth, Result};
use candle_core::{DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{
    convnext, efficientvit, fastvit, hiera, mobilenetv4, mobileone, repvgg, resnet, siglip,
};
use npair_types::ImageSize;
use std::collections::HashMap;

/// A family whose network without its classifier is a function of settings and weights.
macro_rules! family {
    ($name:ident, $module:ident, $build:ident, $says:literal) => {
        #[doc = concat!($says, " from weights by name, for RGB images of this size; computes in f32.")]
        ///
        /// # Errors
        /// candle's, if a weight is missing or has another shape, or the size does not suit the network.
        pub fn $name(config: &$module::Config, size: ImageSize, weights: HashMap<String, Tensor>) -> Result<Self> {
            let device = place(&weights);
            let net = $module::$build(config, builder(weights, &device))?;
            rgb(stringify!($name), size, net, &device)
        }
    };
}

/// Constructors with the cargo feature `candle-transformers`. Weights are named as the files on the Hub name them; the
/// network computes where they lie.
impl FrozenExtractor {
    family!(conv_next, convnext, convnext_no_final_layer, "ConvNeXt, without the norm behind the mean,");
    family!(efficient_vit, efficientvit, efficientvit_no_final_layer, "EfficientViT");
    family!(fast_vit, fastvit, fastvit_no_final_layer, "FastViT");
    family!(hiera, hiera, hiera_no_final_layer, "Hiera");
    family!(mobile_net_v4, mobilenetv4, mobilenetv4_no_final_layer, "MobileNetV4");
    family!(mobile_one, mobileone, mobileone_no_final_layer, "MobileOne");
    family!(rep_vgg, repvgg, repvgg_no_final_layer, "RepVGG");

    /// ResNet from weights by name (torchvision's), for RGB images of this size; computes in f32.
    ///
    /// # Errors
    /// candle's, if a weight is missing or has another shape.
    pub fn res_net(depth: ResNetDepth, size: ImageSize, weights: HashMap<String, Tensor>) -> Result<Self> {
        let device = place(&weights);
        let weights = builder(weights, &device);
        let net = match depth {
            ResNetDepth::L18 => resnet::resnet18_no_final_layer(weights),
            ResNetDepth::L34 => resnet::resnet34_no_final_layer(weights),
            ResNetDepth::L50 => resnet::resnet50_no_final_layer(weights),
        };
        rgb("res_net", size, net?, &device)
    }

    /// The image half of SigLIP, with its pooling head, from weights by name (those below `vision_model`); computes in
    /// f32.
    ///
    /// # Errors
    /// candle's, if a weight is missing or has another shape.
    pub fn sig_lip(config: &siglip::VisionConfig, weights: HashMap<String, Tensor>) -> Result<Self> {
        let device = place(&weights);
        let net = siglip::VisionModel::new(config, true, builder(weights, &device))?;
        rgb("sig_lip", ImageSize::square(config.image_size as u32), net, &device)
    }
}

/// Where the weights lie.
fn place(weights: &HashMap<String, Tensor>) -> Device {
    weights.values().next().map_or(Device::Cpu, |weight| weight.device().clone())
}

fn builder(weights: HashMap<String, Tensor>, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_tensors(weights, DType::F32, device)
}

fn rgb(
    name: &str,
    size: ImageSize,
    net: impl Module + Send + Sync + 'static,
    device: &Device,
) -> Result<FrozenExtractor> {
    let input = InputSpec { channels: 3, size: size.into() };
    FrozenExtractor::probe(name, input, (DType::F32, device), move |x| net.forward(x))
}

//! The order of a network's layers, by the names of its parameters.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device};
use npair_backbones::*;
use npair_types::Streams;

/// Layers of every architecture, the head counted: of transformers the blocks, the patches and positions before them and the head
/// (SigLIP's query is a layer more); of the others blocks, what lies before and behind them, and the head.
const LAYERS: [(&str, usize); 24] = [
    ("conv-net", 4 + 1),
    ("googlenet", 3 + 9 + 1),
    ("googlenet-original", 3 + 9 + 1),
    ("casia-net", 10 + 1),
    ("resnet18", 1 + 8 + 1),
    ("resnet34", 1 + 16 + 1),
    ("resnet50", 1 + 16 + 1),
    ("vit-s16", 1 + 12 + 1),
    ("vit-b16", 1 + 12 + 1),
    ("dinov2-s14", 1 + 12 + 1),
    ("dinov2-b14", 1 + 12 + 1),
    ("clip-b32", 1 + 12 + 1),
    ("clip-b16", 1 + 12 + 1),
    ("clip-l14", 1 + 24 + 1),
    ("siglip-b16", 1 + 12 + 1 + 1),
    ("convnext-t", 1 + 18 + 1),
    ("efficientnet-lite0", 1 + 16 + 1 + 1),
    ("efficientnet-lite1", 1 + 21 + 1 + 1),
    ("efficientnet-lite2", 1 + 21 + 1 + 1),
    ("efficientnet-lite3", 1 + 24 + 1 + 1),
    ("efficientnet-lite4", 1 + 30 + 1 + 1),
    ("mobilenetv3-small", 1 + 11 + 1 + 1 + 1),
    ("mobilenetv3-large", 1 + 15 + 1 + 1 + 1),
    ("dlib-face-net", 1 + 14 + 1 + 1),
];

/// The numbers in a name, in their order: `stages.1.blocks.10` is 1, 10.
fn numbers(name: &str) -> Vec<usize> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn check(config: BackboneConfig, layers: usize) {
    let name = config.architecture();
    let net = EmbeddingNet::new(EmbeddingNetConfig::new(config, 4), Streams::new(3), DType::F32, &Device::Cpu).unwrap();
    let stages = EmbeddingModel::stages(&net);
    let mut seen = vec![0; stages.len()];
    for (variable, _) in net.varmap().trainable() {
        seen[stages.depth_of(&variable).unwrap_or_else(|| panic!("{name}: {variable} is in no layer"))] += 1;
    }
    assert!(seen.iter().all(|&count| count > 0), "{name}: a layer without parameters, {seen:?}");
    assert_eq!(stages.len(), layers, "{name}");
    assert_eq!(stages.depth_of("head.weight"), Some(layers - 1), "{name}");
    // Blocks come in the order in which they are numbered; the first beginning of a layer is its block's.
    let blocks = stages.iter().map(|stage| stage[0].as_str()).filter(|first| {
        ["blocks.", "layer", "stages.", "block", "inception"]
            .iter()
            .any(|b| first["backbone.".len().min(first.len())..].starts_with(b))
    });
    let order: Vec<(Vec<usize>, String)> = blocks.map(|block| (numbers(block), block.to_owned())).collect();
    assert!(order.is_sorted(), "{name}: {order:?}");
}

#[test]
fn every_variable_of_every_architecture_has_a_depth_and_the_head_is_last() {
    assert_eq!(BackboneConfig::all().map(|config| config.architecture()), LAYERS.map(|(name, _)| name));
    for (config, (_, layers)) in BackboneConfig::all().into_iter().zip(LAYERS) {
        check(config, layers);
    }
}

#[test]
fn a_pool_that_learns_is_in_the_last_layer_of_the_backbone() {
    let gem = |architecture: &str| {
        serde_json::from_value(serde_json::json!({ "architecture": architecture, "pooling": "gem" })).unwrap()
    };
    for name in ["googlenet", "resnet18", "efficientnet-lite0"] {
        let layers = LAYERS.iter().find(|(known, _)| *known == name).unwrap().1;
        check(gem(name), layers);
        let config = EmbeddingNetConfig::new(gem(name), 4);
        let net = EmbeddingNet::new(config, Streams::new(3), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(net.stages().depth_of("backbone.pool.p"), Some(layers - 2), "{name}");
    }
}

#[test]
fn layers_of_vectors_are_counted_too() {
    let config = VectorNetConfig { hidden: vec![3, 2], ..VectorNetConfig::linear(5, 2) };
    let net = VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap();
    let stages = EmbeddingModel::stages(&net);
    let depths: Vec<_> = net.varmap().trainable().iter().map(|(name, _)| stages.depth_of(name)).collect();
    assert_eq!(depths, [Some(2), Some(2), Some(0), Some(0), Some(1), Some(1)]);
    assert_eq!(EmbeddingModel::stages(&std::sync::Arc::new(net)), stages);
}

/// A network that says nothing of its depth has none.
#[test]
fn a_backbone_of_others_has_no_depth() {
    let input = InputSpec { channels: 3, size: 4.into() };
    let varmap = npair_nn::VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
    let net = EmbeddingNet::over("means", HeadConfig::of_width(2), varmap, |_| {
        Ok(Box::new(FrozenExtractor::new("means", input, 3, |x: &candle_core::Tensor| x.mean((2, 3)))))
    });
    let stages = net.unwrap().stages();
    assert_eq!((stages.len(), stages.depth_of("backbone.conv.weight")), (1, None));
}

//! Every backbone under every kind of loss: one backward pass reaches all that trains.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device};
use npair_backbones::*;
use npair_losses::*;
use npair_nn::Mode;
use npair_testkit::{inputs, reach};
use npair_types::{Labels, Purpose, Streams};

const WIDTH: usize = 12;

/// One loss of each kind: of pairs, of triplets, of all pairs of a batch, of ranks, with weights of classes.
fn losses(labels: &Labels) -> Vec<(&'static str, Box<dyn Loss>)> {
    let mut rng = Streams::new(6).open(Purpose::Initialization, [0, 0]);
    let classes = labels.classes();
    let mut context = LossContext {
        classes: &classes,
        sizes: &[],
        sets: None,
        width: WIDTH,
        rng: &mut rng,
        dtype: DType::F32,
        device: &Device::Cpu,
    };
    let softmax = SoftmaxClassifier::new(&mut context).unwrap();
    let proxies = ProxyAnchor::new(&mut context).unwrap();
    vec![
        ("N-pair-mc", Box::new(NPairMc)),
        ("N-pair-ovo", Box::new(NPairOvo)),
        ("triplet", Box::new(SmoothTriplet)),
        ("NCA", Box::new(NcaStyle)),
        ("multi-similarity", Box::new(MultiSimilarity::new(2., 50., 0.5).unwrap())),
        ("FastAP", Box::new(FastAp::new(10).unwrap())),
        ("softmax", Box::new(softmax)),
        ("proxy-anchor", Box::new(proxies)),
    ]
}

/// The smallest image that a network takes, or one that leaves more than one pixel of the last map.
fn small(backbone: BackboneConfig) -> BackboneConfig {
    let with = |size: usize| {
        let mut value = serde_json::to_value(backbone).unwrap();
        value["size"] = size.into();
        serde_json::from_value(value).unwrap()
    };
    match backbone.architecture() {
        "conv-net" => backbone,
        "casia-net" => with(20),
        "dinov2-s14" => with(42),
        "vit-s16" | "googlenet-original" => with(48),
        _ => with(40),
    }
}

#[test]
fn every_variable_of_every_backbone_has_a_gradient_under_every_kind_of_loss() {
    let labels = Labels::new([0, 0, 1, 1, 2, 2, 3, 3]).unwrap();
    // The same code, wider or deeper, of networks that are here already.
    let larger = [
        // No norm holds its scale before it has learned, so that hinges of random weights may all be satisfied: dlib_face_net.rs of
        // npair-backbones follows its gradients.
        "dlib-face-net",
        "vit-b16",
        "dinov2-b14",
        "clip-b32",
        "clip-b16",
        "clip-l14",
        "siglip-b16",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "efficientnet-lite3",
        "efficientnet-lite4",
    ];
    let all = BackboneConfig::all().into_iter().filter(|config| !larger.contains(&config.architecture()));
    for backbone in all.map(small) {
        let name = backbone.architecture();
        let config = EmbeddingNetConfig { dropout: 0.2, ..EmbeddingNetConfig::new(backbone, WIDTH) };
        let net = EmbeddingNet::new(config, Streams::new(7), DType::F32, &Device::Cpu).unwrap();
        let [channels, height, width] = net.input().dims();
        let pixels = inputs::normal(8, 1., (labels.len(), channels, height, width), DType::F32).unwrap();
        let vars = net.varmap().trainable();
        for (step, (loss_name, loss)) in losses(&labels).into_iter().enumerate() {
            let embeddings = net.forward(&pixels, &Mode::train(Streams::new(7), step as u64)).unwrap();
            let value = loss.forward(&Batch::new(&embeddings, &labels).unwrap()).unwrap().value;
            let own = loss.variables();
            let all = vars
                .iter()
                .map(|(name, var)| (name.as_str(), var))
                .chain(own.iter().map(|(name, var)| (name.as_str(), var)));
            assert_eq!(reach::dead(&value, all).unwrap(), Vec::<String>::new(), "{name} under {loss_name}");
        }
    }
}

//! EfficientNet-Lite: its sizes, its gradients, and the published weights against features that another program found.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says what it measured")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::{Mode, VarMap};
use npair_testkit::{inputs, require};
use npair_types::Streams;
use std::path::PathBuf;

/// The file with timm's names, and as it was published.
const WEIGHTS: [&str; 2] = ["efficientnet_lite0.timm-keys.safetensors", "efficientnet-lite0-57934424.pth"];

fn config(size: u32) -> EfficientNetLiteConfig {
    EfficientNetLiteConfig { size: size.into(), ..Default::default() }
}

fn net(config: EfficientNetLiteConfig, dtype: DType) -> EmbeddingNet {
    let config = EmbeddingNetConfig::new(BackboneConfig::EfficientNetLite0(config), 8);
    EmbeddingNet::new(config, Streams::new(3), dtype, &Device::Cpu).unwrap()
}

/// A file of weights, if it is at hand.
fn published(file: &str) -> Option<PathBuf> {
    require::data(&format!("weights/{file}"))
}

#[test]
fn the_networks_have_the_published_numbers_of_values() {
    // timm's, less 1,280 x 1,000 + 1,000 of the classifier.
    let published = [4_652_008, 5_416_680, 6_092_072, 8_197_096, 13_006_568];
    let kinds =
        ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "efficientnet-lite3", "efficientnet-lite4"];
    for (kind, published) in kinds.into_iter().zip(published) {
        let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
        let net = BackboneConfig::named(kind).unwrap().build(&varmap.root()).unwrap();
        assert_eq!((varmap.count(), net.features()), (published - 1_281_000, 1280), "{kind}");
    }
}

#[test]
fn gradients_are_differences() {
    // Some entries of every kind of parameter; statistics of the batch, and frozen ones.
    for frozen_norms in [false, true] {
        let net = net(EfficientNetLiteConfig { frozen_norms, ..config(33) }, DType::F64);
        // Shifts of their own: without one a window of zeros lies just on the corner of its activation.
        for (seed, (_, var)) in net.varmap().trainable().iter().filter(|(name, _)| name.ends_with(".bias")).enumerate()
        {
            var.set(&inputs::normal(seed as u64, 0.2, var.shape(), DType::F64).unwrap()).unwrap();
        }
        let x = inputs::normal(4, 1., (3, 3, 33, 33), DType::F64).unwrap();
        let weights = inputs::normal(5, 1., (3, 8), DType::F64).unwrap();
        let mode = Mode::train(Streams::new(1), 0);
        let loss = || (net.forward(&x, &mode).unwrap() * &weights).unwrap().sum_all().unwrap();
        let grads = loss().backward().unwrap();
        let picked = |name: &str| {
            ["conv_stem", "backbone.bn1", "blocks.0.0", "blocks.2.1", "blocks.5.0", "conv_head"]
                .iter()
                .any(|p| name.contains(p))
        };
        for (name, var) in net.varmap().trainable().into_iter().filter(|(name, _)| picked(name)) {
            let got = grads.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let original = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let scale = got.iter().fold(0f64, |m, v| m.max(v.abs()));
            for entry in [got.len() / 3, got.len() - 1] {
                let at = |step: f64| {
                    let mut moved = original.clone();
                    moved[entry] += step;
                    var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
                    loss().to_scalar::<f64>().unwrap()
                };
                let want = (at(STEP) - at(-STEP)) / (2. * STEP);
                assert!(
                    (got[entry] - want).abs() <= 1e-4 * scale.max(want.abs()) + NOISE,
                    "{name}[{entry}]: {} {want}",
                    got[entry]
                );
            }
            var.set(&Tensor::from_vec(original, var.shape(), &Device::Cpu).unwrap()).unwrap();
        }
    }
}

/// So small that hardly a value of some hundred thousand changes sides of a corner.
const STEP: f64 = 1e-7;

/// Rounding of a loss of order 10, divided by the step, and some: shifts before a norm of the batch have no gradient.
const NOISE: f64 = 2e-6;

#[test]
fn any_size_takes_the_published_weights_and_the_head_is_left_over() {
    for file in WEIGHTS {
        let Some(path) = published(file) else { continue };
        for size in [32, 75, 96] {
            let net = net(config(size), DType::F32);
            let report = net.load_pretrained(&path.display().to_string().parse().unwrap(), &Hub::default()).unwrap();
            assert!(report.fits() && report.matched.len() == 245, "{file}: {report}");
            let classifier = report.ignored.iter().filter(|name| !name.ends_with("num_batches_tracked")).count();
            assert_eq!(classifier, 2, "{file}: {report}");
            let pixels = inputs::normal(4, 1., (2, 3, size as usize, size as usize), DType::F32).unwrap();
            let features = net.extract(&pixels).unwrap();
            assert!(features.max_all().unwrap().to_scalar::<f32>().unwrap() > 0.);
        }
    }
}

/// The largest difference, of the largest value.
fn error(got: &Tensor, want: &Tensor) -> f32 {
    let largest = |t: Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    largest((got - want).unwrap()) / largest(want.clone())
}

#[test]
fn features_of_photographs_are_the_reference() {
    let Some(reference) = published("efficientnet_lite0.reference.npz") else { return };
    let names = ["images", "embeddings", "logits"];
    let arrays = Tensor::read_npz_by_name(reference, &names).unwrap();
    let [images, features, logits] = &arrays[..] else { panic!("three arrays") };
    let told = BackboneConfig::EfficientNetLite0(config(224)).pretraining().unwrap();
    let row = |values: Vec<f32>| Tensor::from_vec(values, (1, 3, 1, 1), &Device::Cpu).unwrap();
    let pixels = images.to_dtype(DType::F32).unwrap().permute((0, 3, 1, 2)).unwrap();
    let pixels =
        (pixels / 255.).unwrap().broadcast_sub(&row(told.mean)).unwrap().broadcast_div(&row(told.std)).unwrap();
    for file in WEIGHTS {
        let Some(path) = published(file) else { continue };
        let net = net(config(224), DType::F32);
        net.load_pretrained(&path.display().to_string().parse().unwrap(), &Hub::default()).unwrap();
        let got = net.extract(&pixels).unwrap();
        println!("{file}: features off by {:e} of the largest", error(&got, features));
        assert!(error(&got, features) <= 1e-4);
        let Some(classifier) = published(WEIGHTS[0]) else { continue };
        let classifier = candle_core::safetensors::load(classifier, &Device::Cpu).unwrap();
        let scores = got.matmul(&classifier["classifier.weight"].t().unwrap()).unwrap();
        let scores = scores.broadcast_add(&classifier["classifier.bias"]).unwrap();
        println!("{file}: logits off by {:e} of the largest", error(&scores, logits));
        assert!(error(&scores, logits) <= 1e-4);
    }
}

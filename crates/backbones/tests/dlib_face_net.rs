//! dlib's face network: its gradients, and the published weights against descriptors that face-api found.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says what it measured")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::Mode;
use npair_testkit::{inputs, require};
use npair_types::Streams;

const WEIGHTS: &str = "weights/dlib_face_resnet.safetensors";

fn net(size: u32, dtype: DType) -> EmbeddingNet {
    let config = EmbeddingNetConfig::new(BackboneConfig::DlibFaceNet(DlibFaceNetConfig { size: size.into() }), 8);
    EmbeddingNet::new(config, Streams::new(3), dtype, &Device::Cpu).unwrap()
}

/// The pictures that face-api was given, brightness up to 255: (x (7 + n) + y (13 + 2 n) + 50 c + (x y >> (2 + n))) mod 256.
fn pictures() -> Tensor {
    let value = |n: usize, c: usize, y: usize, x: usize| {
        ((x * (7 + n) + y * (13 + 2 * n) + c * 50 + ((x * y) >> (2 + n))) % 256) as f32
    };
    let mut values = Vec::new();
    for n in 0..3 {
        for c in 0..3 {
            values.extend((0..150 * 150).map(|at| value(n, c, at / 150, at % 150)));
        }
    }
    Tensor::from_vec(values, (3, 3, 150, 150), &Device::Cpu).unwrap()
}

#[test]
fn descriptors_are_those_of_face_api() {
    let Some(path) = require::data(WEIGHTS) else { return };
    let weights: Weights = path.display().to_string().parse().unwrap();
    assert_eq!(pretrained_backbone(&weights, &Hub::default()).unwrap(), BackboneConfig::named("dlib-face-net"));
    let net = net(150, DType::F32);
    let report = net.load_pretrained(&weights, &Hub::default()).unwrap();
    assert!(report.fits() && report.matched.len() == 59 && report.ignored.is_empty(), "{report}");
    let told = BackboneConfig::named("dlib-face-net").unwrap().pretraining().unwrap();
    assert_eq!((told.size, &told.std[..]), (150, &[1f32; 3][..]));
    let mean = Tensor::from_vec(told.mean, (1, 3, 1, 1), &Device::Cpu).unwrap();
    let got = net.extract(&(pictures() / 255.).unwrap().broadcast_sub(&mean).unwrap()).unwrap();
    // @vladmandic/face-api 1.7.15 on tfjs 4, backend cpu.
    let known: Vec<Vec<f32>> = serde_json::from_str(include_str!("reference/dlib_face_net.json")).unwrap();
    let known = Tensor::new(known, &Device::Cpu).unwrap();
    let largest = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let error = largest(&(got - &known).unwrap()) / largest(&known);
    println!("descriptors off by {error:e} of the largest value");
    assert!(error <= 1e-4, "{error}");
}

#[test]
fn gradients_are_differences() {
    // A map that a block leaves smaller than its shortcut (of 6 it makes 2), and one that it does not.
    let net = net(112, DType::F64);
    let x = inputs::normal(4, 1., (1, 3, 112, 112), DType::F64).unwrap();
    let weights = inputs::normal(5, 1., (1, 8), DType::F64).unwrap();
    let mode = Mode::train(Streams::new(1), 0);
    let loss = || (net.forward(&x, &mode).unwrap() * &weights).unwrap().sum_all().unwrap();
    let grads = loss().backward().unwrap();
    let vars = net.varmap().trainable();
    assert!(vars.iter().all(|(_, var)| grads.get(var).is_some()));
    let picked = ["conv32_down", "conv32_1", "conv64_down", "conv256_down_out", "fc"];
    for (name, var) in vars.into_iter().filter(|(name, _)| picked.iter().any(|part| name.contains(part))) {
        let got = grads.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let original = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let scale = got.iter().fold(0f64, |most, v| most.max(v.abs()));
        let entry = got.len() / 3;
        let at = |step: f64| {
            let mut moved = original.clone();
            moved[entry] += step;
            var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
            loss().to_scalar::<f64>().unwrap()
        };
        let want = (at(STEP) - at(-STEP)) / (2. * STEP);
        // Rounding of a loss of order 1, divided by the step.
        let allowed = 1e-4 * scale.max(want.abs()) + 1e-8;
        assert!((got[entry] - want).abs() <= allowed, "{name}[{entry}]: {} {want}", got[entry]);
        var.set(&Tensor::from_vec(original, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}

/// So small that hardly a value changes sides of a corner.
const STEP: f64 = 1e-7;

//! Whole networks as they run on a device (layers composed of candle's operations) against the kernels of the CPU: results,
//! gradients, running statistics, and that no value is read on the host on the way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use npair_backbones::*;
use npair_nn::{Mode, testing::composed};
use npair_testkit::inputs;
use npair_types::Streams;

/// In f64, whose rounding of 1e-16 may grow by a thousand in every one of some dozen layers that matter before it is seen.
/// The code is that of f32.
const TOLERANCE: f64 = 1e-8;

fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn run(net: &EmbeddingNet, pixels: &Tensor, mode: &Mode) -> Vec<(String, Vec<f64>)> {
    let before = net.varmap().tensors().unwrap().into_iter().collect();
    let input = Var::from_tensor(pixels).unwrap();
    let inferred = net.forward_no_grad(&input, mode).unwrap();
    let out = net.forward(&input, mode).unwrap();
    let mut all = vec![("embedding".to_owned(), values(&out)), ("without gradients".to_owned(), values(&inferred))];
    // In evaluation nothing is kept for gradients, and norms go into the weights.
    if mode.is_train() {
        let weights = inputs::normal(7, 1., out.shape(), DType::F64).unwrap();
        let loss = (&out * weights).unwrap().sum_all().unwrap();
        let grads = npair_nn::backward(&loss).unwrap();
        for (name, var) in net.varmap().trainable().into_iter().chain([("pixels".to_owned(), input)]) {
            all.push((format!("gradient of {name}"), values(grads.get(&var).unwrap_or_else(|| panic!("{name}")))));
        }
    }
    all.extend(net.varmap().buffers().into_iter().map(|(name, var)| (name, values(&var))));
    net.varmap().load(&before).unwrap();
    all
}

fn compare(backbone: BackboneConfig, batch: usize) {
    let name = backbone.architecture();
    let mut config = EmbeddingNetConfig::new(backbone, 5);
    config.dropout = 0.3;
    let net = EmbeddingNet::new(config, Streams::new(3), DType::F64, &Device::Cpu).unwrap();
    let InputSpec { channels, size } = net.input();
    let pixels = inputs::normal(4, 1., (batch, channels, size, size), DType::F64).unwrap();
    for mode in [Mode::train(Streams::new(9), 2), Mode::Eval] {
        let want = run(&net, &pixels, &mode);
        let (got, read) = composed(|| run(&net, &pixels, &mode));
        // What is compared is read by the test itself.
        assert_eq!(read, 0, "{name}: values were read on the host");
        for ((entry, got), (_, want)) in got.iter().zip(&want) {
            let scale = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0., f64::max);
            assert!(worst <= TOLERANCE * scale, "{name}, {mode:?}, {entry}: off by {worst:e} of {scale:e}");
        }
    }
}

#[test]
fn conv_net() {
    compare(BackboneConfig::ConvNet(ConvNetConfig { channels: 1, size: 28, width: 8, blocks: 4 }), 6);
}

#[test]
fn res_net_18() {
    compare(BackboneConfig::ResNet18(ResNetConfig { size: 32, ..Default::default() }), 3);
}

#[test]
fn google_nets() {
    compare(BackboneConfig::GoogLeNet(GoogLeNetConfig { size: 64, ..Default::default() }), 3);
    compare(BackboneConfig::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 64 }), 2);
}

#[test]
fn vision_transformer() {
    compare(BackboneConfig::VitS16(VitConfig { size: 48, position_size: Some(64), drop_path: 0.1 }), 2);
}

#[test]
fn conv_next_and_casia_net() {
    compare(BackboneConfig::ConvNextT(ConvNextConfig { size: 32, drop_path: 0.1 }), 2);
    compare(BackboneConfig::CasiaNet(CasiaNetConfig { channels: 1, size: 32 }), 2);
}

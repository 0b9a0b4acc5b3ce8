//! Whole networks as they run on a device (layers composed of candle's operations) against the kernels of the CPU: results,
//! gradients and running statistics.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use npair_backbones::*;
use npair_nn::{
    Backend, Composed, Cpu, Dropout, Layer, Linear, Node, Tape, ToChannelsLast, VarMap, forward_no_grad_on, forward_on,
};
use npair_testkit::inputs;
use npair_types::{ImageSize, Streams};

/// In f64, whose rounding of 1e-16 may grow by a thousand in every one of some dozen layers that matter before it is seen.
/// The code is that of f32.
const TOLERANCE: f64 = 1e-8;

fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// A backbone below dropout and a linear head, as an `EmbeddingNet` puts them together.
struct Net {
    varmap: VarMap,
    backbone: Box<dyn Backbone>,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn new(config: BackboneConfig) -> Self {
        let varmap = VarMap::new(Streams::new(3), DType::F64, &Device::Cpu);
        let root = varmap.root();
        let backbone = config.build(&root.pp("backbone")).unwrap();
        let dropout = Dropout::new(&root.pp("dropout"), 0.3).unwrap();
        let head = Linear::new(&root.pp("head"), backbone.features(), 5, true).unwrap();
        Self { varmap, backbone, dropout, head }
    }

    fn record(&self, pixels: &Node, tape: &mut Tape) -> npair_nn::Result<Node> {
        let images = ToChannelsLast.record(pixels, tape)?;
        let features = self.backbone.record(&images, tape).map_err(candle_core::Error::from)?;
        self.head.record(&self.dropout.record(&features, tape)?, tape)
    }
}

fn run(backend: &'static dyn Backend, net: &Net, pixels: &Tensor, mode: &Mode) -> Vec<(String, Vec<f64>)> {
    let before = net.varmap.tensors().unwrap().into_iter().collect();
    let input = Var::from_tensor(pixels).unwrap();
    let record = |x: &Node, tape: &mut Tape| net.record(x, tape);
    let no_grad = forward_no_grad_on(backend, &input, mode, record).unwrap();
    let mut all = vec![("without gradients".to_owned(), values(&no_grad))];
    // In evaluation nothing is kept for gradients, and norms go into the weights.
    if mode.is_train() {
        let out = forward_on(backend, &input, mode, record).unwrap();
        all.push(("embedding".to_owned(), values(&out)));
        let weights = inputs::normal(7, 1., out.shape(), DType::F64).unwrap();
        let loss = (&out * weights).unwrap().sum_all().unwrap();
        let grads = npair_nn::backward(&loss).unwrap();
        for (name, var) in net.varmap.trainable().into_iter().chain([("pixels".to_owned(), input)]) {
            all.push((format!("gradient of {name}"), values(grads.get(&var).unwrap_or_else(|| panic!("{name}")))));
        }
    }
    all.extend(net.varmap.buffers().into_iter().map(|(name, var)| (name, values(&var))));
    net.varmap.load(&before).unwrap();
    all
}

fn compare(backbone: BackboneConfig, batch: usize) {
    let name = backbone.architecture();
    let [channels, height, width] = backbone.input().dims();
    let net = Net::new(backbone);
    let pixels = inputs::normal(4, 1., (batch, channels, height, width), DType::F64).unwrap();
    for mode in [Mode::train(Streams::new(9), 2), Mode::Eval] {
        let (want, got) = (run(&Cpu, &net, &pixels, &mode), run(&Composed, &net, &pixels, &mode));
        for ((entry, got), (_, want)) in got.iter().zip(&want) {
            let scale = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let worst = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0., f64::max);
            assert!(worst <= TOLERANCE * scale, "{name}, {mode:?}, {entry}: off by {worst:e} of {scale:e}");
        }
    }
}

#[test]
fn conv_net() {
    compare(BackboneConfig::ConvNet(ConvNetConfig { channels: 1, size: 28.into(), width: 8, blocks: 4 }), 6);
}

#[test]
fn res_net_18() {
    compare(BackboneConfig::ResNet18(ResNetConfig { size: 32.into(), ..Default::default() }), 3);
}

#[test]
fn google_nets() {
    compare(BackboneConfig::GoogLeNet(GoogLeNetConfig { size: 64.into(), ..Default::default() }), 3);
    compare(BackboneConfig::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 64.into() }), 2);
}

#[test]
fn efficient_net() {
    for frozen_norms in [false, true] {
        let config = EfficientNetLiteConfig { size: 48.into(), frozen_norms, drop_path: 0.1, ..Default::default() };
        compare(BackboneConfig::EfficientNetLite0(config), 3);
    }
}

#[test]
fn mobile_nets() {
    let config = |frozen_norms| MobileNetV3Config { size: 48.into(), frozen_norms };
    compare(BackboneConfig::MobileNetV3Small(config(false)), 3);
    compare(BackboneConfig::MobileNetV3Large(config(true)), 2);
}

#[test]
fn vision_transformer() {
    compare(
        BackboneConfig::VitS16(VitConfig { size: 48.into(), position_size: Some(64), drop_path: 0.1, gelu: None }),
        2,
    );
    let oblong = ImageSize { height: 32, width: 64 };
    compare(BackboneConfig::VitS16(VitConfig { size: oblong, position_size: Some(64), drop_path: 0.1, gelu: None }), 2);
}

#[test]
fn conv_next_and_casia_net() {
    compare(BackboneConfig::ConvNextT(ConvNextConfig { size: 32.into(), drop_path: 0.1 }), 2);
    compare(BackboneConfig::CasiaNet(CasiaNetConfig { channels: 1, size: 32.into() }), 2);
}

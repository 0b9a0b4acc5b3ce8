//! Settings of the networks: names, legal ranges, what options do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::{Mode, VarMap};
use npair_testkit::{inputs, reach, threads};
use npair_types::{ImageSize, Streams};

fn varmap(dtype: DType) -> VarMap {
    VarMap::new(Streams::new(2), dtype, &Device::Cpu)
}

fn message(config: BackboneConfig) -> String {
    config.build(&varmap(DType::F32).root()).map(|_| ()).unwrap_err().to_string()
}

fn net(backbone: BackboneConfig, dtype: DType) -> EmbeddingNet {
    EmbeddingNet::new(EmbeddingNetConfig::new(backbone, 4), Streams::new(3), dtype, &Device::Cpu).unwrap()
}

fn images(net: &EmbeddingNet, batch: usize, dtype: DType) -> Tensor {
    let [channels, height, width] = net.input().dims();
    inputs::normal(4, 1., (batch, channels, height, width), dtype).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn names_and_settings_survive_json() {
    for config in BackboneConfig::all() {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BackboneConfig>(&text).unwrap(), config);
        let name = format!(r#"{{"architecture": "{}"}}"#, config.architecture());
        assert_eq!(serde_json::from_str::<BackboneConfig>(&name).unwrap(), config);
        let word = format!(r#""{}""#, config.architecture());
        assert_eq!(serde_json::from_str::<BackboneConfig>(&word).unwrap(), config);
        assert_eq!(BackboneConfig::named(config.architecture()), Some(config));
        let unknown = format!(r#"{{"architecture": "{}", "sice": 1}}"#, config.architecture());
        assert!(serde_json::from_str::<BackboneConfig>(&unknown).unwrap_err().to_string().contains("sice"), "{name}");
    }
    let said = |text: &str| serde_json::from_str::<BackboneConfig>(text).unwrap_err().to_string();
    assert!(said(r#""resnet19""#).starts_with("unknown architecture `resnet19`; there are conv-net, googlenet, "));
    assert!(said("18").contains("expected the name of an architecture, or a table with the key `architecture`"));
    let gem = r#"{"architecture": "resnet50", "pooling": "gem", "frozen_norms": true}"#;
    let BackboneConfig::ResNet50(config) = serde_json::from_str(gem).unwrap() else { panic!("another network") };
    assert!(config.pooling == Pooling::Gem && config.frozen_norms && config.size == 224.into());
}

#[test]
fn sizes_out_of_range_are_refused_with_the_range() {
    let small = |size: u32| BackboneConfig::ResNet18(ResNetConfig { size: size.into(), ..Default::default() });
    assert_eq!(message(small(31)), "model setting size is 31, but 32 to 4096 pixels a side are possible");
    assert!(message(small(4097)).contains("4097"));
    let vit = |size: u32, position_size| {
        BackboneConfig::VitS16(VitConfig { size: size.into(), position_size, ..Default::default() })
    };
    assert!(message(vit(100, None)).ends_with("16 to 4096 pixels a side in steps of 16 are possible"));
    assert!(message(vit(96, Some(100))).starts_with("model setting position_size is 100"));
    assert!(message(vit(0, None)).contains("is 0"));
    let drop = VitConfig { drop_path: 1., ..Default::default() };
    assert!(message(BackboneConfig::DinoV2S14(drop)).contains("drop_path is 1"));
    let drop = ConvNextConfig { drop_path: f64::NAN, ..Default::default() };
    assert!(message(BackboneConfig::ConvNextT(drop)).contains("drop_path is NaN"));
    assert!(
        message(BackboneConfig::CasiaNet(CasiaNetConfig { channels: 0, size: 100.into() })).contains("channels is 0")
    );
    assert!(
        message(BackboneConfig::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 47.into() })).contains("size is 47")
    );
    assert!(
        message(BackboneConfig::GoogLeNet(GoogLeNetConfig { size: 8.into(), ..Default::default() }))
            .contains("size is 8")
    );
}

#[test]
fn images_of_another_shape_are_refused() {
    let net = net(BackboneConfig::CasiaNet(CasiaNetConfig { channels: 1, size: 20.into() }), DType::F32);
    let wrong = Tensor::zeros((1, 1, 20, 21), DType::F32, &Device::Cpu).unwrap();
    let text = net.forward(&wrong, &Mode::Eval).unwrap_err().to_string();
    assert!(text.contains("[1, 1, 20, 21], but the network takes (batch, 1, 20, 20)"), "{text}");
}

#[test]
fn frozen_norms_stay_as_they_are() {
    for frozen in [false, true] {
        let config = ResNetConfig { size: 32.into(), frozen_norms: frozen, ..Default::default() };
        let net = net(BackboneConfig::ResNet18(config), DType::F32);
        let before: Vec<_> = net.varmap().buffers().iter().map(|(_, b)| bits(&b.copy().unwrap())).collect();
        net.forward(&images(&net, 2, DType::F32), &Mode::train(Streams::new(1), 0)).unwrap();
        let after: Vec<_> = net.varmap().buffers().iter().map(|(_, b)| bits(b)).collect();
        assert_eq!(before == after, frozen);
    }
}

/// Of any network, by one word of its `config.json`: training computes what evaluation does.
#[test]
fn norms_of_a_whole_network_are_frozen_by_one_word() {
    let conv_net = BackboneConfig::ConvNet(ConvNetConfig { width: 5, ..Default::default() });
    let lite = EfficientNetLiteConfig { size: 32.into(), ..Default::default() };
    for backbone in [conv_net, BackboneConfig::EfficientNetLite0(lite)] {
        let config = EmbeddingNetConfig { frozen_norms: true, ..EmbeddingNetConfig::new(backbone, 4) };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<EmbeddingNetConfig>(&text).unwrap(), config);
        let usual = EmbeddingNetConfig { frozen_norms: false, ..config.clone() };
        assert!(!serde_json::to_string(&usual).unwrap().contains("frozen_norms\":true"));
        assert!(text.contains("\"frozen_norms\":true,\"preprocess\""), "{text}");
        let net = EmbeddingNet::new(config, Streams::new(3), DType::F64, &Device::Cpu).unwrap();
        for (name, var) in net.varmap().buffers() {
            let value = inputs::normal(name.len() as u64, 0.3, var.shape(), DType::F64).unwrap();
            let value = if name.ends_with("var") { (value.abs().unwrap() + 0.5).unwrap() } else { value };
            var.set(&value).unwrap();
        }
        let before = net.varmap().tensors().unwrap();
        let x = images(&net, 3, DType::F64);
        let out = net.forward(&x, &Mode::train(Streams::new(1), 0)).unwrap();
        let evaluated = net.forward(&x, &Mode::Eval).unwrap();
        let off = (&out - evaluated).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(off < 1e-9, "{off}");
        let after = net.varmap().tensors().unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(before.iter().zip(&after).all(|((_, a), (_, b))| values(a) == values(b)));
        // Scales and shifts train, unless they are not to.
        let trained = |grads: &candle_core::backprop::GradStore| {
            let vars = net.varmap().trainable();
            assert!(vars.iter().all(|(_, var)| grads.get(var).is_some()));
            vars.len()
        };
        let all = trained(&out.sqr().unwrap().sum_all().unwrap().backward().unwrap());
        let norms = net.varmap().set_norms_train(false);
        assert_eq!(norms, net.varmap().buffers().len());
        let out = net.forward(&x, &Mode::train(Streams::new(1), 0)).unwrap();
        assert_eq!(trained(&out.sqr().unwrap().sum_all().unwrap().backward().unwrap()), all - norms);
    }
}

/// No layer has the image's size in a shape (a vision transformer's positions have one of their own), so that weights load
/// whatever the size.
#[test]
fn shapes_do_not_depend_on_the_size() {
    let shapes = |backbone: BackboneConfig| {
        let varmap = varmap(DType::F32);
        let net = backbone.build(&varmap.root()).unwrap();
        let shapes: Vec<_> = varmap.tensors().unwrap().into_iter().map(|(name, t)| (name, t.dims().to_vec())).collect();
        (shapes, net.input().size)
    };
    // Of networks that differ in nothing but width and depth, the smallest.
    let larger = [
        "resnet34",
        "resnet50",
        "vit-b16",
        "dinov2-b14",
        "clip-b32",
        "clip-b16",
        "clip-l14",
        "siglip-b16",
        "efficientnet-lite4",
        "mobilenetv3-large",
    ];
    for usual in BackboneConfig::all().into_iter().filter(|config| !larger.contains(&config.architecture())) {
        let (want, _) = shapes(usual);
        let size: u32 = match usual.architecture() {
            "googlenet-original" => 49,
            "dlib-face-net" => 110,
            name if name.starts_with("vit") => 32,
            name if name.starts_with("dinov2") => 42,
            _ => 33,
        };
        let mut value = serde_json::to_value(usual).unwrap();
        value["size"] = size.into();
        let other = serde_json::from_value(value).unwrap();
        assert_eq!(shapes(other), (want, size.into()), "{}", usual.architecture());
    }
}

#[test]
fn the_generalized_mean_has_an_exponent_that_trains() {
    let config = ResNetConfig { size: 48.into(), pooling: Pooling::Gem, ..Default::default() };
    let net = net(BackboneConfig::ResNet18(config), DType::F32);
    let loss = net.forward(&images(&net, 3, DType::F32), &Mode::train(Streams::new(1), 0)).unwrap();
    let vars = net.varmap().trainable();
    assert!(vars.iter().any(|(name, _)| name == "backbone.pool.p"));
    let loss = loss.sqr().unwrap().sum_all().unwrap();
    let dead = reach::dead(&loss, vars.iter().map(|(name, var)| (name.as_str(), var))).unwrap();
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn stochastic_depth_is_for_training() {
    let config = ConvNextConfig { size: 32.into(), drop_path: 0.9 };
    let net = net(BackboneConfig::ConvNextT(config), DType::F64);
    // At first a branch is scaled by 1e-6 and its absence invisible.
    for (name, var) in net.varmap().trainable() {
        if name.ends_with(".gamma") {
            var.set(&var.ones_like().unwrap()).unwrap();
        }
    }
    let x = images(&net, 4, DType::F64);
    let run = |mode: Mode| net.forward(&x, &mode).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(run(Mode::Eval), run(Mode::Eval));
    assert_eq!(run(Mode::train(Streams::new(1), 3)), run(Mode::train(Streams::new(1), 3)));
    assert_ne!(run(Mode::train(Streams::new(1), 3)), run(Mode::train(Streams::new(1), 4)));
    assert_ne!(run(Mode::train(Streams::new(1), 3)), run(Mode::Eval));
}

#[test]
fn pixels_are_transformed_as_torchvision_does_it() {
    // x std / 0.5 + (mean - 0.5) / 0.5: what is 0 after ImageNet's normalization is the mean itself.
    let config = |transform_input| GoogLeNetConfig { size: 32.into(), transform_input, ..Default::default() };
    let with = net(BackboneConfig::GoogLeNet(config(true)), DType::F64);
    let without = net(BackboneConfig::GoogLeNet(config(false)), DType::F64);
    let zeros = Tensor::zeros((1, 3, 32, 32), DType::F64, &Device::Cpu).unwrap();
    let means = Tensor::new(&[(0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5], &Device::Cpu).unwrap();
    let means = means.reshape((1, 3, 1, 1)).unwrap().broadcast_as((1, 3, 32, 32)).unwrap().contiguous().unwrap();
    let run = |net: &EmbeddingNet, x: &Tensor| net.forward(x, &Mode::Eval).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(run(&with, &zeros), run(&without, &means));
    assert_ne!(run(&with, &zeros), run(&without, &zeros));
}

/// Height and width stand for themselves: what is high is not taken for wide, and everything is reached.
#[test]
fn images_need_not_be_square() {
    // ViT-L/14 alone has 300 million weights, and its blocks are those of the others.
    for usual in BackboneConfig::all().into_iter().filter(|usual| usual.architecture() != "clip-l14") {
        let (name, step, mut value) = (usual.architecture(), usual.size_step(), serde_json::to_value(usual).unwrap());
        let [height, width] = if name == "dlib-face-net" {
            [151, 110]
        } else {
            [4, 3].map(|times| times * if step == 1 { 17 } else { step })
        };
        value["size"] = serde_json::json!([height, width]);
        let config: BackboneConfig = serde_json::from_value(value).unwrap();
        assert_eq!(config.input().size, ImageSize { height: height as u32, width: width as u32 }, "{name}");
        let net = net(config, DType::F32);
        let pixels = images(&net, 2, DType::F32);
        assert_eq!(pixels.dims()[2..], [height, width], "{name}");
        let out = net.forward(&pixels, &Mode::train(Streams::new(1), 0)).unwrap();
        let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        assert!(net.varmap().trainable().iter().all(|(_, var)| grads.get(var).is_some()), "{name}");
        let turned = net.forward(&pixels.transpose(2, 3).unwrap().contiguous().unwrap(), &Mode::Eval).unwrap_err();
        assert!(turned.to_string().contains(&format!("{height}, {width}); resize them")), "{name}: {turned}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let networks = [
        BackboneConfig::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 48.into() }),
        BackboneConfig::ResNet18(ResNetConfig { size: 40.into(), pooling: Pooling::Gem, ..Default::default() }),
        BackboneConfig::DinoV2S14(VitConfig { size: 42.into(), position_size: Some(70), drop_path: 0.2, gelu: None }),
        BackboneConfig::ConvNextT(ConvNextConfig { size: 40.into(), drop_path: 0.1 }),
        BackboneConfig::EfficientNetLite0(EfficientNetLiteConfig { size: 40.into(), ..Default::default() }),
        BackboneConfig::EfficientNetLite1(EfficientNetLiteConfig {
            size: 33.into(),
            frozen_norms: true,
            ..Default::default()
        }),
        BackboneConfig::MobileNetV3Small(MobileNetV3Config { size: 40.into(), frozen_norms: false }),
    ];
    for network in networks {
        let runs = threads::with_threads(&[1, 2], || {
            let net = net(network, DType::F32);
            let out = net.forward(&images(&net, 3, DType::F32), &Mode::train(Streams::new(1), 0)).unwrap();
            let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let vars = net.varmap().trainable();
            (bits(&out), vars.iter().map(|(_, var)| bits(grads.get(var).unwrap())).collect::<Vec<_>>())
        });
        assert!(runs[0] == runs[1], "{}", network.architecture());
    }
}

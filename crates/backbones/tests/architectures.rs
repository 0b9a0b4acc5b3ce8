//! Settings of the networks: names, legal ranges, what options do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::{Mode, VarMap};
use npair_testkit::{inputs, reach, threads};
use npair_types::Streams;

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
    let InputSpec { channels, size } = net.input();
    inputs::normal(4, 1., (batch, channels, size, size), dtype).unwrap()
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
        assert_eq!(BackboneConfig::named(config.architecture()), Some(config));
        let unknown = format!(r#"{{"architecture": "{}", "sice": 1}}"#, config.architecture());
        assert!(serde_json::from_str::<BackboneConfig>(&unknown).unwrap_err().to_string().contains("sice"), "{name}");
    }
    let gem = r#"{"architecture": "resnet50", "pooling": "gem", "frozen_norms": true}"#;
    let BackboneConfig::ResNet50(config) = serde_json::from_str(gem).unwrap() else { panic!("another network") };
    assert!(config.pooling == Pooling::Gem && config.frozen_norms && config.size == 224);
}

#[test]
fn sizes_out_of_range_are_refused_with_the_range() {
    let small = |size| BackboneConfig::ResNet18(ResNetConfig { size, ..Default::default() });
    assert_eq!(message(small(31)), "model setting size is 31, but 32 to 4096 pixels a side are possible");
    assert!(message(small(4097)).contains("4097"));
    let vit = |size, position_size| BackboneConfig::VitS16(VitConfig { size, position_size, drop_path: 0. });
    assert!(message(vit(100, None)).ends_with("16 to 4096 pixels a side in steps of 16 are possible"));
    assert!(message(vit(96, Some(100))).starts_with("model setting position_size is 100"));
    assert!(message(vit(0, None)).contains("is 0"));
    let drop = VitConfig { drop_path: 1., ..Default::default() };
    assert!(message(BackboneConfig::DinoV2S14(drop)).contains("drop_path is 1"));
    let drop = ConvNextConfig { drop_path: f64::NAN, ..Default::default() };
    assert!(message(BackboneConfig::ConvNextT(drop)).contains("drop_path is NaN"));
    assert!(message(BackboneConfig::CasiaNet(CasiaNetConfig { channels: 0, size: 100 })).contains("channels is 0"));
    assert!(message(BackboneConfig::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 47 })).contains("size is 47"));
    assert!(
        message(BackboneConfig::GoogLeNet(GoogLeNetConfig { size: 8, ..Default::default() })).contains("size is 8")
    );
}

#[test]
fn images_of_another_shape_are_refused() {
    let net = net(BackboneConfig::CasiaNet(CasiaNetConfig { channels: 1, size: 20 }), DType::F32);
    let wrong = Tensor::zeros((1, 1, 20, 21), DType::F32, &Device::Cpu).unwrap();
    let text = net.forward(&wrong, &Mode::Eval).unwrap_err().to_string();
    assert!(text.contains("[1, 1, 20, 21], but the network takes (batch, 1, 20, 20)"), "{text}");
}

#[test]
fn frozen_norms_stay_as_they_are() {
    for frozen in [false, true] {
        let config = ResNetConfig { size: 32, frozen_norms: frozen, ..Default::default() };
        let net = net(BackboneConfig::ResNet18(config), DType::F32);
        let before: Vec<_> = net.varmap().buffers().iter().map(|(_, b)| bits(&b.copy().unwrap())).collect();
        net.forward(&images(&net, 2, DType::F32), &Mode::train(Streams::new(1), 0)).unwrap();
        let after: Vec<_> = net.varmap().buffers().iter().map(|(_, b)| bits(b)).collect();
        assert_eq!(before == after, frozen);
    }
}

#[test]
fn the_generalized_mean_has_an_exponent_that_trains() {
    let config = ResNetConfig { size: 48, pooling: Pooling::Gem, ..Default::default() };
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
    let config = ConvNextConfig { size: 32, drop_path: 0.9 };
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
    let config = |transform_input| GoogLeNetConfig { size: 32, transform_input, ..Default::default() };
    let with = net(BackboneConfig::GoogLeNet(config(true)), DType::F64);
    let without = net(BackboneConfig::GoogLeNet(config(false)), DType::F64);
    let zeros = Tensor::zeros((1, 3, 32, 32), DType::F64, &Device::Cpu).unwrap();
    let means = Tensor::new(&[(0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5], &Device::Cpu).unwrap();
    let means = means.reshape((1, 3, 1, 1)).unwrap().broadcast_as((1, 3, 32, 32)).unwrap().contiguous().unwrap();
    let run = |net: &EmbeddingNet, x: &Tensor| net.forward(x, &Mode::Eval).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(run(&with, &zeros), run(&without, &means));
    assert_ne!(run(&with, &zeros), run(&without, &zeros));
}

#[test]
fn threads_do_not_change_a_bit() {
    let networks = [
        BackboneConfig::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 48 }),
        BackboneConfig::ResNet18(ResNetConfig { size: 40, pooling: Pooling::Gem, ..Default::default() }),
        BackboneConfig::DinoV2S14(VitConfig { size: 42, position_size: Some(70), drop_path: 0.2 }),
        BackboneConfig::ConvNextT(ConvNextConfig { size: 40, drop_path: 0.1 }),
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

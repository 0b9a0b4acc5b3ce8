//! Networks of others as backbones that do not train.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use npair_backbones::{Backbone, FrozenExtractor, InputSpec};
use npair_nn::{Layer, Linear, Mode, ToChannelsLast, VarMap, forward};
use npair_testkit::inputs;
use npair_types::{ImageSize, Streams};

const INPUT: InputSpec = InputSpec { channels: 3, size: ImageSize::square(5) };
const CPU: (DType, &Device) = (DType::F64, &Device::Cpu);

fn means() -> FrozenExtractor {
    FrozenExtractor::probe("means", INPUT, CPU, |x| x.mean((2, 3))).unwrap()
}

#[test]
fn a_function_serves_as_a_backbone() {
    let net = means();
    assert_eq!((net.features(), net.input()), (3, INPUT));
    let x = inputs::normal(1, 1., (4, 3, 5, 5), DType::F64).unwrap();
    let want = x.mean((2, 3)).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(net.extract(&x).unwrap().to_vec2::<f64>().unwrap(), want);
    let run = forward(&x, &Mode::train(Streams::new(1), 0), |x, tape| {
        Ok(net.record(&ToChannelsLast.record(x, tape)?, tape).map_err(candle_core::Error::from)?)
    });
    assert_eq!(run.unwrap().to_vec2::<f64>().unwrap(), want);
}

#[test]
fn a_head_on_it_trains_and_it_does_not() {
    let inner = Var::ones((1, 3, 1, 1), DType::F64, &Device::Cpu).unwrap();
    let seen = inner.clone();
    let net = FrozenExtractor::new("scaled", INPUT, 3, move |x| x.broadcast_mul(&seen)?.mean((2, 3)));
    let varmap = VarMap::new(Streams::new(1), DType::F64, &Device::Cpu);
    let head = Linear::new(&varmap.root(), 3, 2, false).unwrap();
    let x = Var::from_tensor(&inputs::normal(1, 1., (4, 3, 5, 5), DType::F64).unwrap()).unwrap();
    let out = forward(&x, &Mode::train(Streams::new(1), 0), |x, tape| {
        let features = net.record(&ToChannelsLast.record(x, tape)?, tape).map_err(candle_core::Error::from)?;
        head.record(&features, tape)
    });
    let grads = out.unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let sum = |t: &Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
    assert!(sum(grads.get(&varmap.trainable()[0].1).unwrap()) > 0.);
    assert!(grads.get(&inner).is_none());
    assert!(grads.get(&x).is_none_or(|g| sum(g) == 0.));
}

#[test]
fn what_does_not_fit_is_refused() {
    let text = means().extract(&Tensor::zeros((1, 3, 5, 6), DType::F64, &Device::Cpu).unwrap()).unwrap_err();
    assert!(text.to_string().contains("[1, 3, 5, 6], but the network takes (batch, 3, 5, 5)"), "{text}");
    let maps = FrozenExtractor::probe("maps", INPUT, CPU, |x| Ok(x.clone())).unwrap_err().to_string();
    assert!(
        maps.starts_with("extractor maps: the features have shape [1, 3, 5, 5], but (1, features) is needed"),
        "{maps}"
    );
    let fewer = FrozenExtractor::new("fewer", INPUT, 4, |x| x.mean((2, 3)));
    let text = fewer.extract(&Tensor::zeros((2, 3, 5, 5), DType::F64, &Device::Cpu).unwrap()).unwrap_err().to_string();
    assert!(text.contains("[2, 3], but (2, 4) is needed"), "{text}");
    let lost = FrozenExtractor::probe("lost", INPUT, CPU, |x| x.reshape((7, 7)));
    assert!(lost.is_err());
}

#[cfg(feature = "candle-transformers")]
mod families {
    use super::*;
    use candle_transformers::models::convnext;
    use npair_backbones::{BackboneConfig, ConvNextConfig, ResNetConfig, ResNetDepth};
    use npair_nn::{LayerNorm, forward_no_grad};
    use npair_testkit::golden::relative_error;
    use std::collections::HashMap;

    /// Our network of `config` and its weights, moved away from their first values.
    fn ours(config: BackboneConfig) -> (Box<dyn Backbone>, HashMap<String, Tensor>) {
        let varmap = VarMap::new(Streams::new(4), DType::F32, &Device::Cpu);
        let net = config.build(&varmap.root()).unwrap();
        for (at, (name, var)) in varmap.trainable().into_iter().chain(varmap.buffers()).enumerate() {
            let noise = inputs::normal(at as u64, 0.05, var.shape(), DType::F32).unwrap();
            // A layer scale of 1e-6 would hide its branch; a variance stays positive.
            let base = if name.ends_with("gamma") { var.ones_like().unwrap() } else { var.as_tensor().clone() };
            let moved = if name.ends_with("running_var") { base + noise.sqr() } else { base + noise };
            var.set(&moved.unwrap()).unwrap();
        }
        (net, varmap.tensors().unwrap().into_iter().collect())
    }

    /// Both ways to the features of random images, relative to the largest.
    fn difference(net: &dyn Backbone, frozen: &FrozenExtractor) -> f64 {
        let [channels, height, width] = net.input().dims();
        assert_eq!((net.input(), net.features()), (frozen.input(), frozen.features()));
        let x = inputs::normal(5, 1., (2, channels, height, width), DType::F32).unwrap();
        let ours = forward_no_grad(&x, &Mode::Eval, |x, tape| {
            Ok(net.record(&ToChannelsLast.record(x, tape)?, tape).map_err(candle_core::Error::from)?)
        });
        relative_error(&frozen.extract(&x).unwrap(), &ours.unwrap()).unwrap()
    }

    /// f32: some hundred roundings of 6e-8 deep.
    const TOLERANCE: f64 = 1e-5;

    #[test]
    fn residual_networks_are_ours() {
        for (depth, config) in [
            (ResNetDepth::L18, BackboneConfig::ResNet18(ResNetConfig { size: 64.into(), ..Default::default() })),
            (ResNetDepth::L50, BackboneConfig::ResNet50(ResNetConfig { size: 64.into(), ..Default::default() })),
        ] {
            let (net, weights) = ours(config);
            let frozen = FrozenExtractor::res_net(depth, 64, weights).unwrap();
            let error = difference(net.as_ref(), &frozen);
            assert!(error < TOLERANCE, "{depth:?}: {error:e}");
        }
    }

    #[test]
    fn conv_next_is_ours() {
        let (net, weights) = ours(BackboneConfig::ConvNextT(ConvNextConfig { size: 64.into(), drop_path: 0. }));
        let without_norm = FrozenExtractor::conv_next(&convnext::Config::tiny(), 64, weights.clone()).unwrap();
        // candle-transformers counts the norm behind the mean as part of the classifier.
        let varmap = VarMap::new(Streams::new(4), DType::F32, &Device::Cpu);
        let norm = LayerNorm::new(&varmap.root(), 768, 1e-6).unwrap();
        let weights = ["weight", "bias"].map(|name| (name.to_owned(), weights[&format!("head.norm.{name}")].clone()));
        varmap.load(&weights.into_iter().collect()).unwrap();
        let run = move |x: &Tensor| Ok(norm.forward_no_grad(&without_norm.extract(x)?, &Mode::Eval)?);
        let frozen = FrozenExtractor::new("conv_next", net.input(), 768, run);
        let error = difference(net.as_ref(), &frozen);
        assert!(error < TOLERANCE, "{error:e}");
    }

    #[test]
    fn missing_weights_are_named() {
        let text = FrozenExtractor::res_net(ResNetDepth::L18, 64, HashMap::new()).unwrap_err().to_string();
        assert!(text.contains("conv1.weight"), "{text}");
    }
}

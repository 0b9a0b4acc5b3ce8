//! The network trains as a whole, is the same for the same seed, and survives a folder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::{Mode, VarMap};
use npair_testkit::{inputs, reach, threads};
use npair_types::Streams;

fn config() -> EmbeddingNetConfig {
    EmbeddingNetConfig::new(
        BackboneConfig::ConvNet(ConvNetConfig { width: 5, size: 19.into(), ..Default::default() }),
        6,
    )
}

fn net(config: EmbeddingNetConfig, dtype: DType) -> EmbeddingNet {
    EmbeddingNet::new(config, Streams::new(3), dtype, &Device::Cpu).unwrap()
}

fn pixels(dtype: DType) -> Tensor {
    inputs::normal(4, 1., (6, 1, 19, 19), dtype).unwrap()
}

fn train() -> Mode {
    Mode::train(Streams::new(3), 0)
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn one_backward_pass_reaches_every_variable() {
    for output in [Output::Raw, Output::UnitLength] {
        let net = net(EmbeddingNetConfig { dropout: 0.3, output, ..config() }, DType::F32);
        let out = net.forward(&pixels(DType::F32), &train()).unwrap();
        assert_eq!(out.dims(), [6, 6]);
        // A random weighting: of unit vectors, the plain sum of squares is a constant.
        let loss = (out * inputs::normal(5, 1., (6, 6), DType::F32).unwrap()).unwrap().sum_all().unwrap();
        let vars = net.varmap().trainable();
        assert_eq!(vars.len(), 4 * 3 + 2);
        let dead = reach::dead(&loss, vars.iter().map(|(name, var)| (name.as_str(), var))).unwrap();
        assert_eq!(dead, Vec::<String>::new());
        // Evaluation keeps nothing.
        assert!(!net.forward(&pixels(DType::F32), &Mode::Eval).unwrap().track_op());
    }
}

#[test]
fn unit_length_is_unit_length() {
    let net = net(EmbeddingNetConfig { output: Output::UnitLength, ..config() }, DType::F64);
    let out = net.forward(&pixels(DType::F64), &Mode::Eval).unwrap();
    for row in out.to_vec2::<f64>().unwrap() {
        // Six squares and a root: a few units in the last place.
        assert!((row.iter().map(|v| v * v).sum::<f64>() - 1.).abs() < 1e-14);
    }
}

#[test]
fn the_seed_gives_the_weights_whatever_the_order_of_construction() {
    let varmap = |flip: bool| {
        let varmap = VarMap::new(Streams::new(8), DType::F32, &Device::Cpu);
        let mut names = ["left", "right"];
        if flip {
            names.reverse();
        }
        for name in names {
            ConvNet::new(&varmap.root().pp(name), ConvNetConfig { width: 3, ..Default::default() }).unwrap();
        }
        varmap.tensors().unwrap().into_iter().map(|(name, t)| (name, bits(&t))).collect::<Vec<_>>()
    };
    assert_eq!(varmap(false), varmap(true));
    let (one, two) = (net(config(), DType::F32), net(config(), DType::F32));
    let (x, mode) = (pixels(DType::F32), train());
    assert_eq!(bits(&one.forward(&x, &mode).unwrap()), bits(&two.forward(&x, &mode).unwrap()));
}

#[test]
fn training_and_evaluation_differ_and_evaluation_changes_nothing() {
    let net = net(config(), DType::F32);
    let x = pixels(DType::F32);
    let state = || net.varmap().tensors().unwrap().values().map(bits).collect::<Vec<_>>();
    let fresh = state();
    let first = net.forward(&x, &Mode::Eval).unwrap();
    assert_eq!(fresh, state());
    let trained = net.forward(&x, &train()).unwrap();
    assert_ne!(bits(&first), bits(&trained));
    // The training pass moved the running statistics, which evaluation uses.
    assert_ne!(fresh, state());
    assert_ne!(bits(&first), bits(&net.forward(&x, &Mode::Eval).unwrap()));
    // In evaluation an image does not see its batch.
    let alone = net.forward(&x.narrow(0, 2, 1).unwrap(), &Mode::Eval).unwrap();
    let batch = net.forward(&x, &Mode::Eval).unwrap().narrow(0, 2, 1).unwrap();
    // The same sums of at most 46 products in perhaps another order, through five layers.
    let difference = (alone - batch).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(difference < 5. * 46. * f32::EPSILON * 8., "{difference}");
}

#[test]
fn threads_do_not_change_a_bit() {
    let runs = threads::with_threads(&[1, 2, 3], || {
        let net = net(config(), DType::F32);
        let out = net.forward(&pixels(DType::F32), &train()).unwrap();
        let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let grads = net.varmap().trainable().into_iter().map(|(_, v)| bits(grads.get(&v).unwrap()));
        (bits(&out), grads.collect::<Vec<_>>(), net.varmap().tensors().unwrap().values().map(bits).collect::<Vec<_>>())
    });
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn images_of_another_shape_are_refused() {
    let net = net(config(), DType::F32);
    let message = |dims: &[usize]| {
        let x = Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        net.forward(&x, &Mode::Eval).unwrap_err().to_string()
    };
    let want = "the images have shape [2, 3, 19, 19], but the network takes (batch, 1, 19, 19); resize them";
    assert_eq!(message(&[2, 3, 19, 19]), want);
    assert!(message(&[2, 1, 28, 28]).contains("takes (batch, 1, 19, 19)"));
    assert!(message(&[2, 361]).contains("takes (batch, 1, 19, 19)"));
}

#[test]
fn settings_out_of_range_are_refused() {
    let build =
        |config: EmbeddingNetConfig| EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap_err();
    let with = |c: ConvNetConfig| build(EmbeddingNetConfig::new(BackboneConfig::ConvNet(c), 4)).to_string();
    let usual = ConvNetConfig::default();
    assert!(with(ConvNetConfig { size: 15.into(), ..usual }).contains("need at least 2^4 pixels"));
    assert!(with(ConvNetConfig { blocks: usize::MAX, ..usual }).contains("model setting size"));
    assert!(with(ConvNetConfig { width: 0, ..usual }).contains("model setting width is 0"));
    assert!(
        build(EmbeddingNetConfig { embedding: 0, ..config() }).to_string().contains("model setting embedding is 0")
    );
    assert!(build(EmbeddingNetConfig { dropout: 1., ..config() }).to_string().contains("does not lie in [0, 1)"));
}

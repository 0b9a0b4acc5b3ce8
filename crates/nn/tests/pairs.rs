//! Products of pairs of bf16 on the CPU. Alone in a program: the precision is the process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{Attention, Conv2d, Conv2dConfig, Init, Layer, Linear, Mode, NetPrecision, VarMap, backward};
use npair_testkit::inputs;
use npair_types::Streams;

/// Result and gradients of a layer whose parameters and input are `values` of normal numbers.
fn run(layer: &dyn Layer, varmap: &VarMap, x: &Tensor, values: impl Fn(Tensor) -> Tensor) -> Vec<Vec<f32>> {
    for (seed, (_, var)) in varmap.trainable().into_iter().enumerate() {
        let normal = inputs::normal(40 + seed as u64, 2., var.shape(), DType::F32).unwrap();
        var.set(&values(normal)).unwrap();
    }
    let x = Var::from_tensor(&values(x.clone())).unwrap();
    let out = layer.forward(&x, &Mode::train(Streams::new(1), 0)).unwrap();
    let weights = values(inputs::normal(7, 2., out.shape(), DType::F32).unwrap());
    let found = backward(&(&out * weights).unwrap().sum_all().unwrap()).unwrap();
    let mut all = vec![out.detach()];
    all.extend(varmap.trainable().iter().map(|(_, var)| found.get(var).unwrap().clone()));
    all.push(found.get(&x).unwrap().clone());
    all.iter().map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// In f32 and in pairs.
fn both(layer: &dyn Layer, varmap: &VarMap, x: &Tensor, values: impl Fn(Tensor) -> Tensor) -> [Vec<Vec<f32>>; 2] {
    [NetPrecision::F32, NetPrecision::Bf16].map(|precision| {
        precision.choose();
        run(layer, varmap, x, &values)
    })
}

/// |a - b| / |b|.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut b.iter().map(|&b| f64::from(b)))
}

#[test]
fn products_of_pairs_are_those_of_what_bf16_holds() {
    let device = Device::Cpu;
    let config = |kernel: usize, stride: usize, padding: usize, groups: usize| Conv2dConfig {
        stride: (stride, stride),
        padding: (padding, padding),
        groups,
        ..Conv2dConfig::square(kernel)
    };
    // Channels in and out, settings, extents; odd channels, odd numbers of pixels, windows over the edge, groups.
    let cases = [
        (4, 6, config(3, 1, 1, 1), (2, 5, 7)),
        (64, 72, config(3, 1, 1, 1), (2, 9, 9)),
        (6, 10, config(1, 1, 0, 1), (3, 5, 5)),
        (8, 20, config(3, 2, 1, 2), (2, 9, 8)),
        (3, 16, config(7, 2, 3, 1), (1, 15, 13)),
        (16, 3, config(5, 2, 0, 1), (1, 11, 11)),
        (130, 34, config(1, 2, 0, 1), (2, 7, 7)),
    ];
    for (inputs_of, outputs, config, (batch, height, width)) in cases {
        let varmap = VarMap::new(Streams::new(3), DType::F32, &device);
        let layer = Conv2d::new(&varmap.root(), inputs_of, outputs, config).unwrap();
        let x = inputs::normal(5, 2., (batch, height, width, inputs_of), DType::F32).unwrap();
        // Small whole numbers: bf16 holds them, and f32 every sum.
        let [want, got] = both(&layer, &varmap, &x, |t| t.round().unwrap());
        assert_eq!(got, want, "{inputs_of} {outputs} {config:?}");
        // Others within their rounding, at most 2^-8 of each of a product's two factors; and it is there.
        let [want, got] = both(&layer, &varmap, &x, |t| t);
        let off: Vec<f64> = got.iter().zip(&want).map(|(got, want)| apart(got, want)).collect();
        assert!(off.iter().all(|&off| off < 2. * 2f64.powi(-8)), "{inputs_of} {outputs} {config:?}: {off:?}");
        assert!(off.iter().any(|&off| off > 1e-4), "{inputs_of} {outputs} {config:?}: {off:?}");
    }
    let varmap = VarMap::new(Streams::new(3), DType::F32, &device);
    let layer = Linear::new(&varmap.root(), 50, 30, true).unwrap();
    let x = inputs::normal(5, 2., (17, 50), DType::F32).unwrap();
    let [want, got] = both(&layer, &varmap, &x, |t| t.round().unwrap());
    assert_eq!(got, want);
    // Attention: an odd number of tokens, blocks of rows. Its soft-max multiplies errors of the logits, so the bound is wider.
    for tokens in [37, 261] {
        let varmap = VarMap::new(Streams::new(3), DType::F32, &device);
        let layer = Attention::new(&varmap.root(), 24, 3, Init::Zeros).unwrap();
        let x = inputs::normal(5, 2., (2, tokens, 24), DType::F32).unwrap();
        let [want, got] = both(&layer, &varmap, &x, |t| (t * 0.15).unwrap());
        let off: Vec<f64> = got.iter().zip(&want).map(|(got, want)| apart(got, want)).collect();
        // Keys have no bias that matters: its gradient is 0 but for rounding.
        assert!(off.iter().filter(|&&off| off > 8. * 2f64.powi(-8)).count() <= 1, "{tokens} tokens: {off:?}");
        assert!(off.iter().any(|&off| off > 1e-4), "{tokens} tokens: {off:?}");
    }
    NetPrecision::F32.choose();
}

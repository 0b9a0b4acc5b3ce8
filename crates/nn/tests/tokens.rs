//! What transformers are made of: layer norm, GELU, soft-max, attention, class token, stochastic depth.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use npair_nn::{
    Activation, Attention, AttentionPool, ClassToken, DropPath, FirstToken, Gelu, Init, Layer, LayerNorm, LayerScale,
    Mode, PatchEmbed, PositionEmbedding, Softmax, VarMap,
};
use npair_testkit::{inputs, threads};
use npair_types::Streams;
use proptest::prelude::*;
use support::{bits, check_gradients, values, varmap};

fn train(step: u64) -> Mode {
    Mode::train(Streams::new(1), step)
}

fn normal(seed: u64, shape: &[usize]) -> Tensor {
    inputs::normal(seed, 1., shape, DType::F64).unwrap()
}

/// All variables of a store, drawn anew: no test should pass because a bias is 0 or a scale 1.
fn shake(varmap: &VarMap) {
    for (at, (_, var)) in varmap.trainable().into_iter().enumerate() {
        let noise = inputs::normal(900 + at as u64, 0.3, var.shape(), DType::F64).unwrap();
        var.set(&(var.as_tensor() + noise.to_dtype(var.dtype()).unwrap()).unwrap()).unwrap();
    }
}

/// Entries differ by at most `tolerance`.
fn close(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance)
}

/// A row normalized, straight from the definition.
fn normalized(row: &[f64], epsilon: f64) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    row.iter().map(|v| (v - mean) / (variance + epsilon).sqrt()).collect()
}

/// Attention with loops, from the output of its first linear layer.
fn attended(qkv: &[f64], batch: usize, tokens: usize, heads: usize, width: usize) -> Vec<f64> {
    let channels = heads * width;
    let at = |b: usize, t: usize, part: usize, h: usize| {
        &qkv[((b * tokens + t) * 3 + part) * channels + h * width..][..width]
    };
    let mut out = vec![0.; batch * tokens * channels];
    for b in 0..batch {
        for h in 0..heads {
            for i in 0..tokens {
                let dot = |j: usize| at(b, i, 0, h).iter().zip(at(b, j, 1, h)).map(|(q, k)| q * k).sum::<f64>();
                let weights: Vec<f64> = (0..tokens).map(|j| (dot(j) / (width as f64).sqrt()).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (j, weight) in weights.iter().enumerate() {
                    for (d, v) in at(b, j, 2, h).iter().enumerate() {
                        out[(b * tokens + i) * channels + h * width + d] += weight / total * v;
                    }
                }
            }
        }
    }
    out
}

/// An attention whose linear layers hand on what they get: tokens (B, T, 3 C) of which the queries are the first third.
fn mixing_alone(heads: usize, width: usize) -> (VarMap, Attention) {
    let varmap = varmap(DType::F64);
    let layer = Attention::new(&varmap.root(), heads * width, heads, Init::Normal(0.4)).unwrap();
    (varmap, layer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn layer_norm_is_the_definition(rows in 0..70usize, width in 1..50usize) {
        let varmap = varmap(DType::F64);
        let layer = LayerNorm::new(&varmap.root(), width, 1e-3).unwrap();
        shake(&varmap);
        let x = normal(2, &[rows, width]);
        let [bias, weight] = [0, 1].map(|at| values(&varmap.trainable()[at].1));
        let want: Vec<f64> = values(&x)
            .chunks(width)
            .flat_map(|row| normalized(row, 1e-3))
            .enumerate()
            .map(|(at, v)| v * weight[at % width] + bias[at % width])
            .collect();
        // Up to 50 terms; a variance near 0 magnifies by 1 / sqrt(epsilon) = 32.
        prop_assert!(close(&values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), &want, 50. * 32. * f64::EPSILON * 8.));
    }

    #[test]
    fn softmax_is_the_definition(rows in 0..70usize, width in 1..50usize) {
        let x = normal(3, &[rows, width]);
        let row = |row: &[f64]| {
            let total: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v.exp() / total).collect::<Vec<_>>()
        };
        let want: Vec<f64> = values(&x).chunks(width).flat_map(row).collect();
        prop_assert!(close(&values(&Softmax.forward_no_grad(&x, &Mode::Eval).unwrap()), &want, 60. * f64::EPSILON));
    }

    #[test]
    fn attention_is_the_definition(batch in 0..3usize, tokens in 1..150usize, heads in 1..4usize, width in 1..9usize) {
        let (varmap, layer) = mixing_alone(heads, width);
        shake(&varmap);
        let channels = heads * width;
        let x = normal(4, &[batch, tokens, channels]);
        let (xs, stored) = (values(&x), varmap.tensors().unwrap());
        let linear = |x: &[f64], name: &str, outputs: usize| -> Vec<f64> {
            let (w, b) = (values(&stored[&format!("{name}.weight")]), values(&stored[&format!("{name}.bias")]));
            let entry = |row: &[f64], o: usize| {
                b[o] + row.iter().zip(&w[o * channels..]).map(|(x, w)| x * w).sum::<f64>()
            };
            let places = x.chunks(channels).flat_map(|row| (0..outputs).map(move |o| (row, o)));
            places.map(|(row, o)| entry(row, o)).collect()
        };
        let mixed = attended(&linear(&xs, "qkv", 3 * channels), batch, tokens, heads, width);
        let want = linear(&mixed, "proj", channels);
        // Logits of order 10, over which exp magnifies rounding; sums of up to 150 terms of order 10.
        prop_assert!(close(&values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), &want, 1500. * 10. * f64::EPSILON));
    }

    #[test]
    fn class_token_is_the_definition(batch in 0..3usize, width in 1..6usize, grid in 1..5usize) {
        let varmap = varmap(DType::F64);
        let layer = ClassToken::new(&varmap.root(), width, [grid; 2], grid).unwrap();
        let (patches, stored) = (grid * grid, varmap.tensors().unwrap());
        let x = normal(5, &[batch, patches, width]);
        let class = stored["cls_token"].broadcast_as((batch, 1, width)).unwrap();
        let want = Tensor::cat(&[&class, &x], 1).unwrap().broadcast_add(&stored["pos_embed"]).unwrap();
        let got = layer.forward_no_grad(&x, &Mode::Eval).unwrap();
        prop_assert_eq!(values(&got), values(&want));
        prop_assert_eq!(values(&FirstToken.forward_no_grad(&got, &Mode::Eval).unwrap()), values(&want.narrow(1, 0, 1).unwrap()));
    }
}

/// One query's attention with loops.
#[test]
fn attention_pooling_is_the_definition() {
    let (batch, tokens, heads, width) = (2, 5, 2, 3);
    let channels = heads * width;
    let store = varmap(DType::F64);
    let layer = AttentionPool::new(&store.root(), channels, heads, Init::Normal(0.5)).unwrap();
    shake(&store);
    let stored = store.tensors().unwrap();
    let linear = |rows: &[f64], name: &str| -> Vec<f64> {
        let [weight, bias] = ["weight", "bias"].map(|part| values(&stored[&format!("{name}.{part}")]));
        let row = |row: &[f64]| -> Vec<f64> {
            let out = |(w, b): (&[f64], &f64)| w.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + b;
            weight.chunks(channels).zip(&bias).map(out).collect()
        };
        rows.chunks(channels).flat_map(row).collect()
    };
    let x = normal(4, &[batch, tokens, channels]);
    let (query, both) = (linear(&values(&stored["latent"]), "q"), linear(&values(&x), "kv"));
    let mut mixed = vec![0.; batch * channels];
    for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        let at = |t: usize, part: usize| &both[((b * tokens + t) * 2 + part) * channels + h * width..][..width];
        let dot = |t: usize| query[h * width..].iter().zip(at(t, 0)).map(|(q, k)| q * k).sum::<f64>();
        let weights: Vec<f64> = (0..tokens).map(|t| (dot(t) / (width as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        for (t, weight) in weights.iter().enumerate() {
            at(t, 1).iter().enumerate().for_each(|(d, v)| mixed[b * channels + h * width + d] += weight / total * v);
        }
    }
    let got = layer.forward_no_grad(&x, &Mode::Eval).unwrap();
    assert_eq!(got.dims(), [batch, channels]);
    assert!(close(&values(&got), &linear(&mixed, "proj"), 1500. * f64::EPSILON));
    // Positions alone are added as they are.
    let store = varmap(DType::F64);
    let layer = PositionEmbedding::new(&store.root(), 4, [3; 2], 3).unwrap();
    let x = normal(5, &[2, 9, 4]);
    let want = x.broadcast_add(&store.tensors().unwrap()["pos_embed"]).unwrap();
    assert_eq!(values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), values(&want));
    assert!(layer.forward_no_grad(&normal(5, &[2, 8, 4]), &Mode::Eval).is_err());
}

#[test]
fn gradients_are_those_of_difference_quotients() {
    let mode = Mode::Eval;
    check_gradients(&Gelu, &varmap(DType::F64), &normal(1, &[3, 40]), &mode);
    check_gradients(&Softmax, &varmap(DType::F64), &normal(2, &[5, 19]), &mode);
    check_gradients(&FirstToken, &varmap(DType::F64), &normal(2, &[3, 4, 5]), &mode);

    let store = varmap(DType::F64);
    let layer = LayerNorm::new(&store.root(), 19, 1e-5).unwrap();
    shake(&store);
    check_gradients(&layer, &store, &normal(3, &[2, 35, 19]), &mode);

    let store = varmap(DType::F64);
    let layer = LayerScale::new(&store.root(), 5, 0.1).unwrap();
    check_gradients(&layer, &store, &normal(3, &[40, 5]), &mode);

    for tokens in [1, 5, 70] {
        let (store, layer) = mixing_alone(2, 3);
        shake(&store);
        check_gradients(&layer, &store, &normal(4, &[2, tokens, 6]), &mode);
    }
    for (stored, grid) in [(3, [3, 3]), (2, [3, 3]), (5, [3, 3]), (3, [4, 2]), (2, [1, 5])] {
        let store = varmap(DType::F64);
        let layer = ClassToken::new(&store.root(), 4, grid, stored).unwrap();
        check_gradients(&layer, &store, &normal(5, &[2, grid[0] * grid[1], 4]), &mode);
    }
    for (stored, grid) in [(3, [3, 3]), (2, [3, 3]), (5, [3, 3]), (3, [4, 2]), (2, [1, 5])] {
        let store = varmap(DType::F64);
        let layer = PositionEmbedding::new(&store.root(), 4, grid, stored).unwrap();
        check_gradients(&layer, &store, &normal(5, &[2, grid[0] * grid[1], 4]), &mode);
    }
    for tokens in [1, 7] {
        let store = varmap(DType::F64);
        let layer = AttentionPool::new(&store.root(), 6, 2, Init::Normal(0.5)).unwrap();
        shake(&store);
        check_gradients(&layer, &store, &normal(4, &[2, tokens, 6]), &mode);
    }
    for activation in [Activation::QuickGelu, Activation::TanhGelu] {
        check_gradients(&activation, &varmap(DType::F64), &normal(1, &[3, 40]), &mode);
    }
    let store = varmap(DType::F64);
    let layer = PatchEmbed::new(&store.root(), 3, 5, 2, Init::Normal(0.5)).unwrap();
    shake(&store);
    check_gradients(&layer, &store, &normal(6, &[2, 3, 4, 6]), &mode);

    let layer = DropPath::new(&varmap(DType::F64).root().pp("path"), 0.4).unwrap();
    check_gradients(&layer, &varmap(DType::F64), &normal(7, &[9, 2, 3]), &train(2));
}

#[test]
fn large_logits_do_not_overflow() {
    let x = Tensor::new(&[[1000f32, 0., -1000.], [-1e30, -1e30, -1e30]], &Device::Cpu).unwrap();
    let y = Softmax.forward_no_grad(&x, &Mode::Eval).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(y[0], [1., 0., 0.]);
    assert!(y[1].iter().all(|p| (p - 1. / 3.).abs() < 1e-7));
}

#[test]
fn far_from_zero_layer_norm_keeps_its_precision() {
    // Deviations of 1 on top of 10,000: E[x^2] - E[x]^2 in f32 would have nothing left.
    let varmap = varmap(DType::F32);
    let layer = LayerNorm::new(&varmap.root(), 64, 1e-5).unwrap();
    let row: Vec<f64> = (0..64).map(|i| 10_000. + f64::from(i % 3)).collect();
    let x = Tensor::new(row.clone(), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    // The mean is a number of f32: within 2^-11 of the row's, and so is every result.
    assert!(close(&values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), &normalized(&row, 1e-5), 1e-3));
}

#[test]
fn stochastic_depth_leaves_out_whole_images() {
    let root = varmap(DType::F32).root();
    let (a, b) = (DropPath::new(&root.pp("a"), 0.25).unwrap(), DropPath::new(&root.pp("b"), 0.25).unwrap());
    let x = Tensor::ones((4_000, 3), DType::F32, &Device::Cpu).unwrap();
    let run = |layer: &DropPath, mode: Mode| values(&layer.forward(&x, &mode).unwrap());
    assert_eq!(run(&a, train(3)), run(&a, train(3)));
    assert_ne!(run(&a, train(3)), run(&a, train(4)));
    assert_ne!(run(&a, train(3)), run(&b, train(3)));
    assert_eq!(run(&a, Mode::Eval), values(&x));
    let out = run(&a, train(3));
    assert!(
        out.chunks(3)
            .all(|image| image.iter().all(|v| *v == image[0]) && [0., f64::from(4f32 / 3.)].contains(&image[0]))
    );
    let dropped = out.iter().step_by(3).filter(|v| **v == 0.).count() as f64;
    // Five standard deviations of a binomial count.
    assert!((dropped - 1_000.).abs() < 5. * (4_000f64 * 0.25 * 0.75).sqrt(), "{dropped}");
    for p in [1., -0.1, f64::NAN] {
        assert!(DropPath::new(&root, p).unwrap_err().to_string().contains("does not lie in [0, 1)"));
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let runs = threads::with_threads(&[1, 2, 3], || {
        let varmap = varmap(DType::F32);
        let root = varmap.root();
        let layers: Vec<Box<dyn Layer>> = vec![
            Box::new(LayerNorm::new(&root.pp("norm"), 24, 1e-6).unwrap()),
            Box::new(Attention::new(&root.pp("attention"), 24, 3, Init::Normal(0.3)).unwrap()),
            Box::new(LayerScale::new(&root.pp("scale"), 24, 0.1).unwrap()),
            Box::new(Gelu),
            Box::new(Softmax),
            Box::new(ClassToken::new(&root.pp("tokens"), 24, [10; 2], 7).unwrap()),
            Box::new(PositionEmbedding::new(&root.pp("positions"), 24, [10; 2], 7).unwrap()),
            Box::new(AttentionPool::new(&root.pp("pool"), 24, 3, Init::Normal(0.3)).unwrap()),
            Box::new(Activation::QuickGelu),
            Box::new(Activation::TanhGelu),
        ];
        let x = normal(8, &[5, 100, 24]).to_dtype(DType::F32).unwrap();
        let mut all = Vec::new();
        for layer in &layers {
            let out = layer.forward(&x, &Mode::Eval).unwrap();
            let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            all.push(bits(&out));
            all.extend(varmap.trainable().iter().filter_map(|(_, v)| grads.get(v)).map(bits));
        }
        all
    });
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let varmap = varmap(DType::F32);
    let root = varmap.root().pp("block");
    let x = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let message =
        |layer: &dyn Layer, shape: &[usize]| layer.forward_no_grad(&x(shape), &Mode::Eval).unwrap_err().to_string();
    let norm = LayerNorm::new(&root.pp("norm"), 4, 1e-5).unwrap();
    assert_eq!(
        message(&norm, &[2, 3]),
        "block.norm: the input has shape [2, 3], but the layer takes 4 channels in the last place"
    );
    let attention = Attention::new(&root.pp("attn"), 4, 2, Init::Zeros).unwrap();
    assert!(message(&attention, &[2, 4]).starts_with("block.attn: "));
    assert!(message(&attention, &[2, 3, 5]).contains("at least one token of 4 channels"));
    let tokens = ClassToken::new(&root, 4, [2; 2], 2).unwrap();
    assert!(message(&tokens, &[1, 5, 4]).contains("takes 4 tokens of 4 channels"));
    let patches = PatchEmbed::new(&root.pp("patch"), 1, 4, 3, Init::Zeros).unwrap();
    assert!(message(&patches, &[1, 4, 3, 1]).contains("multiples of the patch's 3 pixels"));
    assert!(message(&FirstToken, &[1, 0, 4]).contains("at least one token"));
    assert!(message(&Softmax, &[2, 0]).contains("at least one entry"));
    assert!(LayerNorm::new(&root.pp("a"), 0, 1e-5).is_err() && LayerNorm::new(&root.pp("b"), 1, f64::NAN).is_err());
    assert!(LayerScale::new(&root.pp("c"), 1, f64::INFINITY).is_err());
    let uneven = Attention::new(&root.pp("d"), 5, 2, Init::Zeros).unwrap_err().to_string();
    assert!(uneven.contains("2 heads over 5 channels"), "{uneven}");
    assert!(ClassToken::new(&root.pp("e"), 4, [3, 0], 2).is_err());
    let whole = Tensor::zeros((1, 4), DType::U32, &Device::Cpu).unwrap();
    assert!(Gelu.forward_no_grad(&whole, &Mode::Eval).unwrap_err().to_string().contains("gelu: cannot compute in U32"));
}

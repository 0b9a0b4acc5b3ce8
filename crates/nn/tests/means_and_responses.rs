//! Response normalization, generalized means, adaptive means.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use npair_nn::{AdaptiveAvgPool2d, GemPool, Layer, LocalResponseNorm, Mode};
use npair_testkit::{inputs, threads};
use proptest::prelude::*;
use support::{bits, check_gradients, values, varmap};

fn normal(seed: u64, shape: &[usize]) -> Tensor {
    inputs::normal(seed, 1., shape, DType::F64).unwrap()
}

/// Entries differ by at most `tolerance`.
fn close(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn response_norm_is_the_definition(
        pixels in 1..80usize,
        channels in 1..20usize,
        size in 1..8usize,
        quarter in 0..6u8,
    ) {
        let beta = f64::from(quarter) / 4.;
        let layer = LocalResponseNorm::new(size, 0.7, beta, 1.5).unwrap();
        let x = normal(1, &[1, pixels, 1, channels]);
        let xs = values(&x);
        let want: Vec<f64> = (0..xs.len())
            .map(|at| {
                let (row, c) = (&xs[at / channels * channels..][..channels], at % channels);
                let near = c.saturating_sub(size / 2)..channels.min(c + (size - 1) / 2 + 1);
                let s = 1.5 + 0.7 / size as f64 * row[near].iter().map(|v| v * v).sum::<f64>();
                xs[at] / s.powf(beta)
            })
            .collect();
        prop_assert!(close(&values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), &want, 40. * f64::EPSILON));
    }

    #[test]
    fn gem_is_the_definition(batch in 0..3usize, side in 1..6usize, channels in 1..9usize, power in 0.5..6f64) {
        let varmap = varmap(DType::F64);
        let layer = GemPool::new(&varmap.root(), power, 1e-3).unwrap();
        let x = normal(2, &[batch, side, side, channels]);
        let (xs, pixels) = (values(&x), side * side);
        let value = |b: usize, p: usize, c: usize| xs[(b * pixels + p) * channels + c].max(1e-3);
        let mean = |b: usize, c: usize| (0..pixels).map(|p| value(b, p, c).powf(power)).sum::<f64>() / pixels as f64;
        let want: Vec<f64> =
            (0..batch * channels).map(|at| mean(at / channels, at % channels).powf(1. / power)).collect();
        prop_assert!(close(&values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), &want, 200. * f64::EPSILON));
    }

    #[test]
    fn adaptive_means_are_the_definition(h in 1..9usize, w in 1..9usize, rows in 1..9usize, columns in 1..9usize) {
        let x = normal(3, &[2, h, w, 3]);
        let xs = values(&x);
        let mut want = Vec::new();
        for at in 0..2 * rows * columns * 3 {
            let (b, i, j, c) = (at / (rows * columns * 3), at / (columns * 3) % rows, at / 3 % columns, at % 3);
            // floor and ceil as real numbers: the extents are small enough to be exact.
            let edge = |n: usize, count: usize, extent: usize| (n * extent) as f64 / count as f64;
            let (top, bottom) = (edge(i, rows, h).floor() as usize, edge(i + 1, rows, h).ceil() as usize);
            let (left, right) = (edge(j, columns, w).floor() as usize, edge(j + 1, columns, w).ceil() as usize);
            let window = (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x)));
            let all: Vec<f64> = window.map(|(y, x)| xs[((b * h + y) * w + x) * 3 + c]).collect();
            want.push(all.iter().sum::<f64>() / all.len() as f64);
        }
        let layer = AdaptiveAvgPool2d::new(rows, columns).unwrap();
        prop_assert!(close(&values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap()), &want, 64. * 4. * f64::EPSILON));
    }
}

#[test]
fn gradients_are_those_of_difference_quotients() {
    // Images as the difference quotients take them: (B, C, H, W).
    let x = normal(4, &[2, 11, 3, 2]);
    for (size, beta) in [(5, 0.75), (4, 0.5), (1, 1.), (30, 0.75)] {
        let layer = LocalResponseNorm::new(size, 0.9, beta, 1.).unwrap();
        check_gradients(&layer, &varmap(DType::F64), &x, &Mode::Eval);
    }
    check_gradients(
        &AdaptiveAvgPool2d::new(2, 3).unwrap(),
        &varmap(DType::F64),
        &normal(5, &[2, 3, 5, 4]),
        &Mode::Eval,
    );
    // Away from the kink at epsilon: no input lies within 1e-5 of it.
    let x = normal(6, &[2, 5, 3, 4]);
    assert!(values(&x).iter().all(|v| (v - 0.1).abs() > 1e-4));
    for power in [1., 3., 4.5] {
        let varmap = varmap(DType::F64);
        let layer = GemPool::new(&varmap.root(), power, 0.1).unwrap();
        check_gradients(&layer, &varmap, &x, &Mode::Eval);
    }
}

#[test]
fn the_response_norm_of_pytorch() {
    // torch.nn.LocalResponseNorm(5, 1e-4, 0.75)(torch.tensor([100., -200., 300., 50., -400., 10.]).view(1, 6, 1, 1))
    const WANT: [f64; 6] = [36.7419585, -72.7669963, 69.3392942, 11.8061144, -103.665871, 3.37718661];
    let x = Tensor::new(&[[[[100f32, -200., 300., 50., -400., 10.]]]], &Device::Cpu).unwrap();
    let y = LocalResponseNorm::new(5, 1e-4, 0.75, 1.)
        .unwrap()
        .forward_no_grad(&x, &Mode::Eval)
        .unwrap()
        .flatten_all()
        .unwrap();
    for (got, want) in values(&y).into_iter().zip(WANT) {
        assert!((got - want).abs() <= 8. * f64::from(f32::EPSILON) * want.abs(), "{got} {want}");
    }
}

#[test]
fn powers_do_not_overflow() {
    let varmap = varmap(DType::F32);
    let layer = GemPool::new(&varmap.root(), 30., 1e-6).unwrap();
    let x = Tensor::new(&[[[[1e30f32], [1e30]]]], &Device::Cpu).unwrap();
    let y = layer.forward_no_grad(&x, &Mode::Eval).unwrap().to_vec2::<f32>().unwrap()[0][0];
    assert!((y / 1e30 - 1.).abs() < 1e-6, "{y}");
    let x = Tensor::new(&[[[[f32::NAN], [1.], [2.]]]], &Device::Cpu).unwrap();
    assert!(layer.forward_no_grad(&x, &Mode::Eval).unwrap().to_vec2::<f32>().unwrap()[0][0].is_nan());
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let x = normal(7, &[5, 12, 13, 70]).to_dtype(DType::F32).unwrap();
    let runs = threads::with_threads(&[1, 2, 3], || {
        let varmap = varmap(DType::F32);
        let layers: Vec<Box<dyn Layer>> = vec![
            Box::new(LocalResponseNorm::new(5, 1e-2, 0.75, 1.).unwrap()),
            Box::new(GemPool::new(&varmap.root(), 3., 1e-6).unwrap()),
            Box::new(AdaptiveAvgPool2d::new(4, 4).unwrap()),
        ];
        let run = |layer: &dyn Layer| {
            let x = candle_core::Var::from_tensor(&x).unwrap();
            let out = layer.forward(&x, &Mode::Eval).unwrap();
            let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let power = varmap.trainable()[0].1.clone();
            (bits(&out), bits(grads.get(&x).unwrap()), grads.get(&power).map(bits))
        };
        layers.iter().map(|layer| run(layer.as_ref())).collect::<Vec<_>>()
    });
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    for (size, alpha, beta, k) in [(0, 1., 1., 1.), (1, -1., 1., 1.), (1, 1., f64::NAN, 1.), (1, 1., 1., 0.)] {
        let message = LocalResponseNorm::new(size, alpha, beta, k).unwrap_err().to_string();
        assert!(message.starts_with("local_response_norm: "), "{message}");
    }
    let varmap = varmap(DType::F32);
    let root = varmap.root();
    assert!(GemPool::new(&root.pp("a"), 0., 1e-6).is_err() && GemPool::new(&root.pp("b"), 3., 0.).is_err());
    assert!(AdaptiveAvgPool2d::new(0, 1).is_err());
    let pool = GemPool::new(&root.pp("pool"), 3., 1e-6).unwrap();
    let flat = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(
        pool.forward_no_grad(&flat, &Mode::Eval)
            .unwrap_err()
            .to_string()
            .starts_with("pool: the input has shape [2, 3]")
    );
    varmap.trainable()[0].1.set(&Tensor::new(&[-1f32], &Device::Cpu).unwrap()).unwrap();
    let x = Tensor::zeros((1, 2, 2, 1), DType::F32, &Device::Cpu).unwrap();
    assert!(pool.forward_no_grad(&x, &Mode::Eval).unwrap_err().to_string().contains("the exponent has become -1"));
}

//! Pooling against its definition.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use npair_nn::{AvgPool2d, GlobalAvgPool, Layer, MaxPool2d, Mode, PoolConfig};
use npair_testkit::{inputs, threads};
use proptest::prelude::*;
use support::{Planes, bits, check_gradients, gradients, values, varmap};

/// Windows along one axis as PyTorch defines them: (first, end) in padded coordinates.
fn windows(extent: usize, k: usize, s: usize, p: usize, ceil: bool) -> Vec<(usize, usize)> {
    let padded = extent + 2 * p;
    (0..)
        .map(|n| (n * s, n * s + k))
        // In ceil mode a window may hang over, but has to begin in the image or the padding on the left.
        .take_while(|&(from, to)| if ceil { from < extent + p && from + k < padded + s } else { to <= padded })
        .collect()
}

struct Naive {
    out: Vec<f64>,
    dx: Vec<f64>,
}

#[derive(Clone, Copy)]
enum Kind {
    Max,
    Mean { count_padding: bool },
}

fn naive(x: &[f64], grad: &[f64], image: (usize, usize), c: &PoolConfig, kind: Kind) -> Naive {
    let rows = windows(image.0, c.kernel.0, c.stride.0, c.padding.0, c.ceil);
    let columns = windows(image.1, c.kernel.1, c.stride.1, c.padding.1, c.ceil);
    let (mut out, mut dx) = (Vec::new(), vec![0.; x.len()]);
    let mut grad = grad.iter();
    for plane in 0..x.len() / (image.0 * image.1) {
        for &(top, bottom) in &rows {
            for &(left, right) in &columns {
                let g = grad.next().unwrap();
                let inside: Vec<usize> = (top..bottom)
                    .flat_map(|y| (left..right).map(move |x| (y, x)))
                    .filter(|(y, x)| {
                        (c.padding.0..c.padding.0 + image.0).contains(y)
                            && (c.padding.1..c.padding.1 + image.1).contains(x)
                    })
                    .map(|(y, x)| (plane * image.0 + y - c.padding.0) * image.1 + x - c.padding.1)
                    .collect();
                match kind {
                    Kind::Max => {
                        let best = inside.iter().copied().reduce(|a, b| if x[b] > x[a] { b } else { a }).unwrap();
                        out.push(x[best]);
                        dx[best] += g;
                    }
                    Kind::Mean { count_padding } => {
                        let extent = (bottom.min(image.0 + 2 * c.padding.0) - top)
                            * (right.min(image.1 + 2 * c.padding.1) - left);
                        let n = if count_padding { extent } else { inside.len() } as f64;
                        out.push(inside.iter().map(|&i| x[i]).sum::<f64>() / n);
                        inside.iter().for_each(|&i| dx[i] += g / n);
                    }
                }
            }
        }
    }
    Naive { out, dx }
}

fn compare(x: &Tensor, layer: &dyn Layer, config: &PoolConfig, kind: Kind) {
    let &[b, c, h, w] = x.dims() else { panic!() };
    let out = layer.planes(x, &Mode::Eval).unwrap();
    let rows = windows(h, config.kernel.0, config.stride.0, config.padding.0, config.ceil).len();
    let columns = windows(w, config.kernel.1, config.stride.1, config.padding.1, config.ceil).len();
    assert_eq!(out.dims(), [b, c, rows, columns], "{config:?} on {h} x {w}");
    let grad = inputs::normal(8, 1., out.shape(), DType::F64).unwrap();
    let want = naive(&values(x), &values(&grad), (h, w), config, kind);
    let got = gradients(layer, &varmap(DType::F64), x, &grad, &Mode::Eval);
    for (got, want) in [(&values(&out), &want.out), (&got[0].1, &want.dx)] {
        for (g, w) in got.iter().zip(want) {
            // At most 25 terms of order 1 in a window or over a pixel.
            assert!((g - w).abs() < 100. * f64::EPSILON, "{config:?} on {h} x {w}: {g}, not {w}");
        }
    }
}

fn any_config() -> impl Strategy<Value = PoolConfig> {
    let pair = |low: usize, high: usize| (low..=high, low..=high);
    (pair(1, 5), pair(1, 4), pair(0, 2), any::<bool>()).prop_map(|(kernel, stride, padding, ceil)| PoolConfig {
        kernel,
        stride,
        padding: (padding.0.min(kernel.0 / 2), padding.1.min(kernel.1 / 2)),
        ceil,
    })
}

proptest! {
    #[test]
    fn any_window_is_the_definition(config in any_config(), h in 1..=12usize, w in 1..=12usize, ties in any::<bool>()) {
        let over = |stride: usize| if config.ceil { stride - 1 } else { 0 };
        prop_assume!(h + 2 * config.padding.0 + over(config.stride.0) >= config.kernel.0);
        prop_assume!(w + 2 * config.padding.1 + over(config.stride.1) >= config.kernel.1);
        let mut x = inputs::normal(7, 1., (2, 3, h, w), DType::F64).unwrap();
        if ties {
            x = x.round().unwrap();
        }
        compare(&x, &MaxPool2d::new(config).unwrap(), &config, Kind::Max);
        compare(&x, &AvgPool2d::new(config).unwrap(), &config, Kind::Mean { count_padding: true });
        compare(&x, &AvgPool2d::new(config).unwrap().without_padding(), &config, Kind::Mean { count_padding: false });
    }
}

#[test]
fn central_differences() {
    // Entries of a normal sample are far apart against the step: no ties.
    let x = inputs::normal(9, 1., (2, 2, 7, 6), DType::F64).unwrap();
    for config in
        [PoolConfig::square(2), PoolConfig::square(3).stride(2).padding(1), PoolConfig::square(3).stride(2).ceil()]
    {
        check_gradients(&MaxPool2d::new(config).unwrap(), &varmap(DType::F64), &x, &Mode::Eval);
        check_gradients(&AvgPool2d::new(config).unwrap(), &varmap(DType::F64), &x, &Mode::Eval);
    }
    check_gradients(&GlobalAvgPool, &varmap(DType::F64), &x, &Mode::Eval);
}

#[test]
fn sizes_of_pytorch() {
    // torch.nn.MaxPool2d(k, s, p, ceil_mode=True) on n x n.
    for (n, k, s, p, ceil, want) in [
        (112, 3, 2, 0, true, 56),
        (112, 3, 2, 1, false, 56),
        (5, 2, 2, 0, true, 3),
        (5, 2, 2, 1, true, 3),
        (3, 2, 3, 1, true, 2),
        (4, 1, 3, 0, true, 2),
        (3, 1, 4, 0, true, 1),
        (2, 3, 2, 0, true, 1),
    ] {
        let config = PoolConfig { ceil, ..PoolConfig::square(k).stride(s).padding(p) };
        let x = Tensor::zeros((1, 1, n, n), DType::F32, &Device::Cpu).unwrap();
        let out = MaxPool2d::new(config).unwrap().planes(&x, &Mode::Eval).unwrap();
        assert_eq!(out.dims(), [1, 1, want, want], "{config:?} on {n}");
    }
}

#[test]
fn global_mean_by_hand() {
    let x = Tensor::new(&[[[[1f32, 2.], [3., 6.]], [[0., 0.], [0., -4.]]]], &Device::Cpu).unwrap();
    assert_eq!(GlobalAvgPool.planes(&x, &Mode::Eval).unwrap().to_vec2::<f32>().unwrap(), [[3., -1.]]);
}

#[test]
fn not_a_number_wins_and_a_plane_of_minus_infinity_is_one() {
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    let x = Tensor::new(&[[[[1f32, nan], [2., 3.]]], [[[low, low], [low, low]]]], &Device::Cpu).unwrap();
    let out = MaxPool2d::new(PoolConfig::square(2)).unwrap().planes(&x, &Mode::Eval).unwrap();
    let out = out.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(out[0].is_nan() && out[1] == low);
}

#[test]
fn threads_do_not_change_a_bit() {
    let x = inputs::normal(7, 1., (9, 5, 13, 11), DType::F32).unwrap();
    let config = PoolConfig::square(3).stride(2).padding(1);
    let runs = threads::with_threads(&[1, 2], || {
        let x = candle_core::Var::from_tensor(&x).unwrap();
        let max = MaxPool2d::new(config).unwrap().planes(&x, &Mode::Eval).unwrap();
        let mean = AvgPool2d::new(config).unwrap().planes(&x, &Mode::Eval).unwrap();
        let grads = (&max * &mean).unwrap().sum_all().unwrap().backward().unwrap();
        [bits(&max), bits(&mean), bits(grads.get(&x).unwrap())]
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn what_does_not_fit_is_said() {
    let x = Tensor::zeros((1, 1, 2, 9), DType::F32, &Device::Cpu).unwrap();
    let small = MaxPool2d::new(PoolConfig::square(3)).unwrap().planes(&x, &Mode::Eval).unwrap_err().to_string();
    assert!(small.contains("[1, 2, 9, 1], but a window of (3, 3) does not fit"), "{small}");
    let refuse = |config| AvgPool2d::new(config).unwrap_err().to_string();
    assert!(refuse(PoolConfig::square(3).padding(2)).contains("more than half of kernel (3, 3)"));
    assert!(refuse(PoolConfig::square(3).stride(0)).contains("at least 1"));
    assert!(refuse(PoolConfig::square(0)).contains("at least 1"));
}

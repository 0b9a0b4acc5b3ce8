//! Linear layer, ReLU and dropout.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{Dropout, Linear, Mode, Relu, Sequential};
use npair_testkit::{inputs, threads};
use npair_types::Streams;
use proptest::prelude::*;
use support::{Planes, bits, check_gradients, gradients, values, varmap};

fn train(step: u64) -> Mode {
    Mode::train(Streams::new(1), step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn linear_is_the_definition(rows in 0..70usize, i in 1..40usize, o in 1..40usize, bias in any::<bool>()) {
        let varmap = varmap(DType::F64);
        let layer = Linear::new(&varmap.root(), i, o, bias).unwrap();
        if bias {
            varmap.trainable()[0].1.set(&inputs::normal(1, 1., o, DType::F64).unwrap()).unwrap();
        }
        let x = inputs::normal(2, 1., (rows, i), DType::F64).unwrap();
        let g = inputs::normal(3, 1., (rows, o), DType::F64).unwrap();
        let vars = varmap.trainable();
        let w = values(&vars[vars.len() - 1].1);
        let b = if bias { values(&vars[0].1) } else { vec![0.; o] };
        let (xs, gs) = (values(&x), values(&g));
        let sum = |n: usize, f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>();
        let out: Vec<f64> = (0..rows * o).map(|at| b[at % o] + sum(i, &|k| xs[at / o * i + k] * w[at % o * i + k])).collect();
        let dx: Vec<f64> = (0..rows * i).map(|at| sum(o, &|k| gs[at / i * o + k] * w[k * i + at % i])).collect();
        let dw: Vec<f64> = (0..o * i).map(|at| sum(rows, &|r| gs[r * o + at / i] * xs[r * i + at % i])).collect();
        let db: Vec<f64> = (0..o).map(|at| sum(rows, &|r| gs[r * o + at])).collect();
        let got = gradients(&layer, &varmap, &x, &g, &Mode::Eval);
        let got_out = values(&layer.planes(&x, &Mode::Eval).unwrap());
        let want = if bias { vec![db, dw, dx] } else { vec![dw, dx] };
        for (got, want) in got.iter().map(|(_, v)| v).chain([&got_out]).zip(want.iter().chain([&out])) {
            prop_assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(want) {
                // At most 70 products of order up to 10.
                prop_assert!((g - w).abs() < 70. * 10. * f64::EPSILON, "{} {}", g, w);
            }
        }
    }
}

#[test]
fn linear_keeps_the_extents_in_front() {
    let varmap = varmap(DType::F64);
    let layer = Linear::new(&varmap.root(), 4, 5, true).unwrap();
    let x = inputs::normal(2, 1., (2, 3, 4), DType::F64).unwrap();
    assert_eq!(layer.planes(&x, &Mode::Eval).unwrap().dims(), [2, 3, 5]);
    check_gradients(&layer, &varmap, &x, &Mode::Eval);
    let message = layer.planes(&x.transpose(1, 2).unwrap(), &Mode::Eval).unwrap_err().to_string();
    assert_eq!(message, "linear: the input has shape [2, 4, 3], but the layer takes 4 features in the last place");
    assert!(Linear::new(&varmap.root().pp("none"), 0, 5, true).is_err());
}

#[test]
fn relu_has_no_derivative_at_zero() {
    let x = Var::new(&[-1f32, 0., -0., 2., f32::NAN], &Device::Cpu).unwrap();
    let out = Relu.planes(&x, &Mode::Eval).unwrap();
    let grads = out.sum_all().unwrap().backward().unwrap();
    assert_eq!(out.to_vec1::<f32>().unwrap()[..4], [0., 0., 0., 2.]);
    assert!(out.to_vec1::<f32>().unwrap()[4].is_nan());
    assert_eq!(grads.get(&x).unwrap().to_vec1::<f32>().unwrap()[..4], [0., 0., 0., 1.]);
    check_gradients(&Relu, &varmap(DType::F64), &inputs::normal(4, 1., (3, 40), DType::F64).unwrap(), &Mode::Eval);
}

#[test]
fn dropout_drops_what_seed_step_and_name_say() {
    let root = varmap(DType::F32).root();
    let (a, b) = (Dropout::new(&root.pp("a"), 0.25).unwrap(), Dropout::new(&root.pp("b"), 0.25).unwrap());
    let x = Tensor::ones(20_000, DType::F32, &Device::Cpu).unwrap();
    let run = |layer: &Dropout, mode: Mode| bits(&layer.planes(&x, &mode).unwrap());
    assert_eq!(run(&a, train(3)), run(&a, train(3)));
    assert_ne!(run(&a, train(3)), run(&a, train(4)));
    assert_ne!(run(&a, train(3)), run(&b, train(3)));
    assert_ne!(run(&a, train(3)), run(&a, Mode::train(Streams::new(2), 3)));
    assert_eq!(run(&a, Mode::Eval), bits(&x));
    let out = values(&a.planes(&x, &train(3)).unwrap());
    let dropped = out.iter().filter(|v| **v == 0.).count() as f64;
    // Five standard deviations of a binomial count.
    assert!((dropped - 5_000.).abs() < 5. * (20_000f64 * 0.25 * 0.75).sqrt(), "{dropped}");
    assert!(out.iter().all(|v| *v == 0. || *v == f64::from(1f32 / 0.75)));
    check_gradients(&a, &varmap(DType::F64), &inputs::normal(4, 1., (3, 40), DType::F64).unwrap(), &train(5));
    for p in [1., -0.1, f64::NAN] {
        assert!(Dropout::new(&root, p).unwrap_err().to_string().contains("does not lie in [0, 1)"));
    }
}

#[test]
fn layers_in_a_row() {
    let varmap = varmap(DType::F64);
    let row = Sequential::new()
        .then(Linear::new(&varmap.root().pp("one"), 4, 6, true).unwrap())
        .then(Relu)
        .then(Linear::new(&varmap.root().pp("two"), 6, 2, true).unwrap());
    assert_eq!(row.len(), 3);
    check_gradients(&row, &varmap, &inputs::normal(4, 1., (5, 4), DType::F64).unwrap(), &Mode::Eval);
    let x = inputs::normal(4, 1., (100, 4), DType::F64).unwrap().to_dtype(DType::F32).unwrap();
    let runs = threads::with_threads(&[1, 2], || {
        let varmap = support::varmap(DType::F32);
        let layer = Linear::new(&varmap.root(), 4, 70, true).unwrap();
        let out = layer.planes(&x, &Mode::Eval).unwrap();
        let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        (bits(&out), varmap.trainable().iter().map(|(_, v)| bits(grads.get(v).unwrap())).collect::<Vec<_>>())
    });
    assert_eq!(runs[0], runs[1]);
}

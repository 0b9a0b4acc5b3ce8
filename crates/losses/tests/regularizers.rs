//! Regularizers against loops, their gradients against central differences, and extreme rows.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs, threads};

type Rows = Vec<Vec<f64>>;
type Oracle = fn(&Rows) -> f64;

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn far(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| (a / norm(x) - b / norm(y)).powi(2)).sum::<f64>().sqrt()
}

fn cosine(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>() / (norm(x) * norm(y))
}

fn mean(terms: impl IntoIterator<Item = f64>) -> f64 {
    let terms: Vec<f64> = terms.into_iter().collect();
    terms.iter().sum::<f64>() / terms.len() as f64
}

fn others(x: &Rows, i: usize) -> impl Iterator<Item = &Vec<f64>> {
    x.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, row)| row)
}

fn every() -> Vec<(&'static str, Box<dyn Regularizer>, Oracle)> {
    vec![
        ("l1", Box::new(LpNorm::new(1.).unwrap()), |x| mean(x.iter().map(|r| r.iter().map(|v| v.abs()).sum()))),
        ("l1.5", Box::new(LpNorm::new(1.5).unwrap()), |x| {
            mean(x.iter().map(|r| r.iter().map(|v| v.abs().powf(1.5)).sum::<f64>().powf(1. / 1.5)))
        }),
        ("l2", Box::new(LpNorm::new(2.).unwrap()), |x| mean(x.iter().map(|r| norm(r)))),
        ("norm penalty", Box::new(NormPenalty::new(0.5, NormForm::MeanSquare).unwrap()), |x| {
            mean(x.iter().map(|r| 0.5 * norm(r).powi(2)))
        }),
        ("center-invariant", Box::new(CenterInvariant), |x| {
            let all = mean(x.iter().map(|r| norm(r).powi(2)));
            mean(x.iter().map(|r| (norm(r).powi(2) - all).powi(2) / 4.))
        }),
        ("zero mean", Box::new(ZeroMean), |x| mean(x.iter().map(|r| r.iter().sum::<f64>().abs()))),
        ("regular face", Box::new(RegularFace), |x| {
            mean((0..x.len()).map(|i| others(x, i).map(|o| cosine(&x[i], o)).fold(f64::MIN, f64::max)))
        }),
        ("ko-leo", Box::new(KoLeo), |x| {
            mean((0..x.len()).map(|i| -others(x, i).map(|o| far(&x[i], o)).fold(f64::MAX, f64::min).ln()))
        }),
        ("uniformity", Box::new(Uniformity::default()), |x| {
            let all = (0..x.len()).flat_map(|i| others(x, i).map(move |o| (-2. * far(&x[i], o).powi(2)).exp()));
            mean(all.collect::<Vec<_>>()).ln()
        }),
        ("sparse centers", Box::new(SparseCenters::new(3).unwrap()), |x| {
            let pairs = x.chunks(3).flat_map(|c| [(0, 1), (0, 2), (1, 2)].map(|(a, b)| far(&c[a], &c[b])));
            pairs.sum::<f64>() / (x.len() / 3 * 3 * 2) as f64
        }),
    ]
}

#[test]
fn values_equal_loops_and_gradients_central_differences() {
    for seed in 0..4 {
        let x = inputs::normal(40 + seed, 0.8, (6, 5), DType::F64).unwrap();
        for (name, regularizer, oracle) in every() {
            let (got, want) =
                (regularizer.penalty(&x).unwrap().to_scalar::<f64>().unwrap(), oracle(&x.to_vec2().unwrap()));
            assert!((got - want).abs() < 1e-12 * want.abs().max(1.), "{name}: {got} {want}");
            let run = |t: &[Tensor]| regularizer.penalty(&t[0]).map_err(candle_core::Error::wrap);
            gradient::check(std::slice::from_ref(&x), run).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn extreme_rows_give_finite_values_and_gradients_or_a_named_error() {
    let hard: [&[[f32; 2]]; 4] = [
        // Duplicates, opposites, zeros, rows too short or long to be squared as they are.
        &[[1e4, 0.], [-1e4, 0.], [1e4, 0.], [0., 0.], [0., 0.], [1e-18, 0.]],
        &[[0., 0.], [0., 0.], [0., 0.]],
        &[[1., 2.], [1., 2.], [1., 2.]],
        &[[3., 4.]],
    ];
    for dtype in [DType::F32, DType::F64] {
        for rows in hard {
            let x = Var::from_tensor(
                &Tensor::from_slice(rows.as_flattened(), (rows.len(), 2), &Device::Cpu)
                    .unwrap()
                    .to_dtype(dtype)
                    .unwrap(),
            )
            .unwrap();
            for (name, regularizer, _) in every() {
                match regularizer.penalty(&x) {
                    Ok(value) => {
                        assert_eq!(value.dtype(), dtype, "{name}");
                        let grads = value.backward().unwrap();
                        for t in [&value, grads.get(&x).unwrap()] {
                            let all = t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                            assert!(all.iter().all(|v| v.is_finite()), "{name}: {all:?}");
                        }
                    }
                    Err(why) => assert!(rows.len() == 1, "{name}: {why}"),
                }
            }
        }
        let flat = Tensor::zeros(3, dtype, &Device::Cpu).unwrap();
        for (name, regularizer, _) in every() {
            let said = regularizer.penalty(&flat).unwrap_err().to_string();
            assert!(said.contains("a matrix"), "{name}: {said}");
        }
    }
    let bad = Tensor::new(&[[1f32, 0.], [f32::NAN, 0.], [0., 1.]], &Device::Cpu).unwrap();
    for regularizer in [&RegularFace as &dyn Regularizer, &KoLeo, &Uniformity::default()] {
        let said = regularizer.penalty(&bad).unwrap_err().to_string();
        assert!(said.contains("row 1") && said.contains("not finite"), "{said}");
    }
}

#[test]
fn settings_out_of_range_are_named_and_threads_change_nothing() {
    let said = [
        LpNorm::new(0.5).unwrap_err(),
        LpNorm::new(f64::INFINITY).unwrap_err(),
        Uniformity::new(0.).unwrap_err(),
        SparseCenters::new(1).unwrap_err(),
    ];
    assert!(said.iter().all(|e| e.to_string().contains("but has to be")));
    let x = inputs::normal(50, 1., (90, 16), DType::F32).unwrap();
    for (name, regularizer, _) in every() {
        let all = threads::with_threads(&[1, 2], || {
            let x = Var::from_tensor(&x).unwrap();
            let grads = regularizer.penalty(&x).unwrap().backward().unwrap();
            let grad = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            grad.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        });
        assert!(all[0] == all[1], "{name}");
    }
}

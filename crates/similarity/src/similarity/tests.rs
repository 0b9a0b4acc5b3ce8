#![allow(clippy::unwrap_used)]
use super::*;
use npair_testkit::{gradient, inputs, threads};
use npair_types::Labels;
use proptest::prelude::*;

const KINDS: [Kind; 3] = [Kind::LogSumExp, Kind::Log1pSumExp, Kind::SoftplusSum];

fn masks(rows: usize, columns: usize) -> Vec<Mask> {
    let classes = |n: usize| Labels::new((0..n).map(|i| (i * 7 % 5 / 2) as u32)).unwrap();
    let (r, c) = (classes(rows), classes(columns));
    let mut masks = vec![Mask::All, Mask::OffDiagonal, Mask::same_class(&r, &c), Mask::other_class(&r, &c)];
    if rows == columns {
        masks.push(Mask::positives(&r));
    }
    masks
}

fn both(q: &Tensor, g: &Tensor, o: &Tensor, measure: Measure, kind: Kind, mask: &Mask) -> [Vec<Vec<f64>>; 2] {
    let streamed = |q: &Tensor, g: &Tensor, o: &Tensor| Similarity::new(q, g, measure)?.reduce(kind, mask, Some(o));
    let dense = |q: &Tensor, g: &Tensor, o: &Tensor| dense_reduce(&matrix(q, g, measure)?, kind, mask, o);
    let run = |f: &dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
        let vars = [q, g, o].map(|t| candle_core::Var::from_tensor(t).unwrap());
        let out = f(&vars[0], &vars[1], &vars[2]).unwrap();
        let values = out.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        // Rows without an entry are minus infinity: they take no part in the gradient.
        let finite = out.ge(f64::MIN).unwrap();
        let weights = inputs::normal(9, 1., out.shape(), out.dtype()).unwrap();
        let loss = finite.where_cond(&(out * weights).unwrap(), &o.zeros_like().unwrap()).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        let mut all = vec![values];
        for v in &vars {
            let g = grads.get(v).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            all.push(g.to_vec1::<f64>().unwrap());
        }
        all
    };
    [run(&streamed), run(&dense)]
}

/// The inverse of the least norm of a row, at least 1.
fn inverse_norm(rows: &Tensor) -> f64 {
    let squares = rows.sqr().unwrap().sum(1).unwrap().to_vec1::<f64>().unwrap();
    squares.iter().fold(1., |m: f64, s| m.max(s.sqrt().recip()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn streamed_equals_dense(rows in 1usize..140, columns in 1usize..600, d in 1usize..9, seed in 0u64..1000, square: bool) {
        let columns = if square { rows } else { columns };
        let q = inputs::normal(seed, 0.8, (rows, d), DType::F64).unwrap();
        let g = inputs::normal(seed + 1, 0.8, (columns, d), DType::F64).unwrap();
        let o = inputs::normal(seed + 2, 1., rows, DType::F64).unwrap();
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            for kind in KINDS {
                for mask in masks(rows, columns) {
                    // A row without an entry has the gradient of log 0 on the dense path.
                    let empty = |i| (0..columns).all(|j| !mask.contains(i, j));
                    if kind == Kind::LogSumExp && (0..rows).any(empty) {
                        continue;
                    }
                    let [streamed, dense] = both(&q, &g, &o, measure, kind, &mask);
                    // The cosine's gradient is divided by the norm, after what cancels: all of it where D = 1.
                    let steep = if measure == Measure::Cosine { inverse_norm(&q).max(inverse_norm(&g)) } else { 1. };
                    for (s, d) in streamed.iter().zip(&dense) {
                        let scale = d.iter().fold(1f64, |m, v| m.max(v.abs()));
                        for (a, b) in s.iter().zip(d) {
                            // Sums of up to 600 entries in f64.
                            prop_assert!((a - b).abs() <= 1e-11 * scale * steep, "{kind:?} {mask:?} {a} {b}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    let q = inputs::normal(1, 0.7, (6, 4), DType::F64).unwrap();
    let g = inputs::normal(2, 0.7, (6, 4), DType::F64).unwrap();
    let o = inputs::normal(3, 0.7, 6, DType::F64).unwrap();
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        for kind in KINDS {
            gradient::check(&[q.clone(), g.clone(), o.clone()], |t| {
                let out = Similarity::new(&t[0], &t[1], measure)
                    .and_then(|s| s.reduce(kind, &Mask::OffDiagonal, Some(&t[2])))
                    .map_err(candle_core::Error::wrap)?;
                (out.sqr()?.sum_all()? * 0.1)?.sum_all()
            })
            .unwrap();
        }
        gradient::check(&[q.clone(), g.clone()], |t| {
            let s = Similarity::new(&t[0], &t[1], measure).map_err(candle_core::Error::wrap)?;
            let (m, d) =
                (s.dense().map_err(candle_core::Error::wrap)?, s.diagonal().map_err(candle_core::Error::wrap)?);
            m.sqr()?.mean_all()? + d.sqr()?.mean_all()?
        })
        .unwrap();
    }
}

#[test]
fn large_logits_are_finite_and_bad_rows_named() {
    let q = Tensor::new(&[[100f32, 0.], [-100., 0.]], &candle_core::Device::Cpu).unwrap();
    let s = Similarity::new(&q, &q, Measure::Dot).unwrap();
    let o = Tensor::new(&[-1e4f32, 1e4], q.device()).unwrap();
    assert_eq!(s.log_sum_exp(&Mask::All).unwrap().to_vec1::<f32>().unwrap(), [1e4, 1e4]);
    assert_eq!(s.log1p_sum_exp_above(&o, &Mask::All).unwrap().to_vec1::<f32>().unwrap(), [2e4, std::f32::consts::LN_2]);
    assert_eq!(
        s.softplus_sum_above(&o, &Mask::OffDiagonal).unwrap().to_vec1::<f32>().unwrap(),
        [std::f32::consts::LN_2, 0.]
    );
    let bad = Tensor::new(&[[1f32, 0.], [f32::NAN, 0.]], q.device()).unwrap();
    let error = Similarity::new(&q, &bad, Measure::Dot).unwrap().log_sum_exp(&Mask::All).unwrap_err();
    assert!(error.to_string().starts_with("row 1 of the gallery is not finite"), "{error}");
    let huge = Tensor::new(&[[2e38f32, 0.], [-2e38, 0.]], q.device()).unwrap();
    let error = Similarity::new(&huge, &huge, Measure::Dot).unwrap().log_sum_exp(&Mask::All).unwrap_err();
    assert!(error.to_string().contains("overflows"), "{error}");
}

#[test]
fn the_same_bits_with_one_and_two_threads() {
    let q = inputs::normal(1, 0.3, (300, 32), DType::F32).unwrap();
    let g = inputs::normal(2, 0.3, (900, 32), DType::F32).unwrap();
    let bits = threads::with_threads(&[1, 2], || {
        let (q, g) = (candle_core::Var::from_tensor(&q).unwrap(), candle_core::Var::from_tensor(&g).unwrap());
        let out = Similarity::new(&q, &g, Measure::Cosine).unwrap().log_sum_exp(&Mask::All).unwrap();
        let grads = out.sum_all().unwrap().backward().unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        [flat(&out), flat(grads.get(&q).unwrap()), flat(grads.get(&g).unwrap())].concat()
    });
    assert_eq!(bits[0], bits[1]);
}

fn means(s: &Similarity, kind: Kind, mask: &Mask) -> Result<Tensor> {
    match kind {
        Kind::LogSumExp => s.mean_log_sum_exp(mask),
        Kind::Log1pSumExp => s.mean_log1p_sum_exp_above_diagonal(mask),
        Kind::SoftplusSum => s.mean_softplus_sum_above_diagonal(mask),
    }
}

fn dense_mean(s: &Similarity, kind: Kind, mask: &Mask) -> Result<Tensor> {
    let diagonal = match kind {
        Kind::LogSumExp => Tensor::zeros(s.queries.dim(0)?, s.queries.dtype(), s.queries.device())?,
        _ => s.diagonal()?,
    };
    Ok(dense_reduce(&s.dense()?, kind, mask, &diagonal)?.mean_all()?)
}

/// Value and both gradients of a mean, in f64; what comes from above is not 1.
fn value_and_gradients(
    q: &Tensor,
    g: &Tensor,
    f: impl Fn(&Similarity) -> Result<Tensor>,
    measure: Measure,
) -> [Vec<f64>; 3] {
    let vars = [q, g].map(|t| candle_core::Var::from_tensor(t).unwrap());
    let out = f(&Similarity::new(&vars[0], &vars[1], measure).unwrap()).unwrap();
    let grads = (&out * 0.7).unwrap().backward().unwrap();
    let flat = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    [flat(&out), flat(grads.get(&vars[0]).unwrap()), flat(grads.get(&vars[1]).unwrap())]
}

/// Within `tolerance` of the largest entry, or of `least`: what the terms may be that cancel.
fn near(got: &[Vec<f64>; 3], want: &[Vec<f64>; 3], tolerance: f64, least: f64) -> std::result::Result<(), String> {
    for (part, (a, b)) in got.iter().zip(want).enumerate() {
        let scale = b.iter().fold(0f64, |m, v| m.max(v.abs())).max(least);
        for (at, (x, y)) in a.iter().zip(b).enumerate() {
            if (x - y).abs() > tolerance * scale || x.is_nan() {
                return Err(format!("part {part}, entry {at}: {x:e}, not {y:e}"));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_mean_equals_the_dense_one(n in 1usize..180, d in 1usize..9, seed in 0u64..1000) {
        let q = inputs::normal(seed, 0.8, (n, d), DType::F64).unwrap();
        let g = inputs::normal(seed + 1, 0.8, (n, d), DType::F64).unwrap();
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            for kind in KINDS {
                for mask in masks(n, n) {
                    if kind == Kind::LogSumExp && (0..n).any(|i| (0..n).all(|j| !mask.contains(i, j))) {
                        continue;
                    }
                    let got = value_and_gradients(&q, &g, |s| means(s, kind, &mask), measure);
                    let want = value_and_gradients(&q, &g, |s| dense_mean(s, kind, &mask), measure);
                    // Sums of up to 180 entries in f64.
                    let all = near(&got, &want, 1e-11, 1.);
                    prop_assert!(all.is_ok(), "{kind:?} {mask:?} {measure:?} {all:?}");
                }
            }
        }
    }
}

#[test]
fn many_waves_and_ragged_blocks_equal_the_dense_mean() {
    // More rows than live at a time, and no whole number of blocks or of column ranges.
    let (q, g) =
        (inputs::normal(5, 0.8, (2311, 5), DType::F64).unwrap(), inputs::normal(6, 0.8, (2311, 5), DType::F64));
    let g = g.unwrap();
    for kind in KINDS {
        let got = value_and_gradients(&q, &g, |s| means(s, kind, &Mask::OffDiagonal), Measure::Dot);
        let want = value_and_gradients(&q, &g, |s| dense_mean(s, kind, &Mask::OffDiagonal), Measure::Dot);
        near(&got, &want, 1e-11, 1.).unwrap();
    }
    let o = inputs::normal(7, 1., 2311, DType::F64).unwrap();
    let [streamed, dense] = both(&q, &g, &o, Measure::Dot, Kind::Log1pSumExp, &Mask::OffDiagonal);
    for (a, b) in streamed.iter().flatten().zip(dense.iter().flatten()) {
        assert!((a - b).abs() <= 1e-11 * b.abs().max(10.), "{a} {b}");
    }
}

#[test]
fn means_in_f32_are_near_those_in_f64() {
    let [q, g] = [11, 12].map(|seed| inputs::normal(seed, 0.2, (200, 64), DType::F32).unwrap());
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    for kind in KINDS {
        let got = value_and_gradients(&q, &g, |s| means(s, kind, &Mask::OffDiagonal), Measure::Dot);
        let want = value_and_gradients(&wide(&q), &wide(&g), |s| dense_mean(s, kind, &Mask::OffDiagonal), Measure::Dot);
        // A logit is a sum of 64 products and good to about sqrt(64) units of 2^-24 for values up to 3; so are the weights,
        // and a gradient is a sum of 200 of them with errors of either sign: some 30 units, and a factor of 2 to spare.
        near(&got, &want, 60. * 2f64.powi(-24), 0.).unwrap();
    }
}

#[test]
fn gradients_of_means_agree_with_central_differences() {
    let q = inputs::normal(1, 0.7, (6, 4), DType::F64).unwrap();
    let g = inputs::normal(2, 0.7, (6, 4), DType::F64).unwrap();
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        for kind in KINDS {
            for mask in [Mask::OffDiagonal, Mask::All] {
                gradient::check(&[q.clone(), g.clone()], |t| {
                    let s = Similarity::new(&t[0], &t[1], measure).map_err(candle_core::Error::wrap)?;
                    means(&s, kind, &mask).map_err(candle_core::Error::wrap)?.sqr()
                })
                .unwrap();
            }
        }
    }
}

#[test]
fn means_have_the_same_bits_with_any_number_of_threads() {
    let q = inputs::normal(1, 0.3, (2100, 24), DType::F32).unwrap();
    let g = inputs::normal(2, 0.3, (2100, 24), DType::F32).unwrap();
    let bits = threads::with_threads(&[1, 2, 3], || {
        let mean = |s: &Similarity| s.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal);
        value_and_gradients(&q, &g, mean, Measure::Dot)
    });
    assert!(bits[0] == bits[1] && bits[0] == bits[2]);
}

#[test]
fn two_pairs_by_hand() {
    // s = [[1, 0], [0, 2]]: log(1 + e^-1) and log(1 + e^-2); the weights are 1 / (1 + e) and 1 / (1 + e^2).
    let q = Tensor::new(&[[1f64, 0.], [0., 2.]], &candle_core::Device::Cpu).unwrap();
    let g = Tensor::new(&[[1f64, 0.], [0., 1.]], q.device()).unwrap();
    let (w1, w2) = (0.35 / (1. + 1f64.exp()), 0.35 / (1. + 2f64.exp()));
    let value = ((-1f64).exp().ln_1p() + (-2f64).exp().ln_1p()) / 2.;
    let want = [vec![value], vec![-w1, w1, w2, -w2], vec![-w1, 2. * w2, w1, -2. * w2]];
    for kind in [Kind::Log1pSumExp, Kind::SoftplusSum] {
        let got = value_and_gradients(&q, &g, |s| means(s, kind, &Mask::OffDiagonal), Measure::Dot);
        near(&got, &want, 1e-15, 1.).unwrap();
    }
}

#[test]
fn extreme_logits_and_equal_rows() {
    // Logits of +1e4 and -1e4: a lost row costs their distance and pulls with weight 1, a won row nothing.
    let q = Tensor::new(&[[100f32], [-100.]], &candle_core::Device::Cpu).unwrap();
    let wrong = q.neg().unwrap();
    for kind in [Kind::Log1pSumExp, Kind::SoftplusSum] {
        let lost = value_and_gradients(&q, &wrong, |s| means(s, kind, &Mask::OffDiagonal), Measure::Dot);
        near(&lost, &[vec![2e4], vec![70., -70.], vec![-70., 70.]], 1e-6, 0.).unwrap();
        let won = value_and_gradients(&q, &q, |s| means(s, kind, &Mask::OffDiagonal), Measure::Dot);
        assert_eq!(won, [vec![0.], vec![0.; 2], vec![0.; 2]]);
    }
    // All rows equal: log N, and no direction to go.
    let same = Tensor::ones((300, 3), DType::F32, q.device()).unwrap();
    let mean = |s: &Similarity| s.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal);
    let [value, grad_q, grad_g] = value_and_gradients(&same, &same, mean, Measure::Dot);
    assert!((value[0] - 300f64.ln()).abs() <= 1e-6);
    // Two sums of 1 that cancel, in f32.
    assert!(grad_q.iter().chain(&grad_g).all(|g| g.abs() <= 0.7 / 300. * 1e-5));
}

#[test]
fn means_want_only_what_is_tracked_and_name_bad_rows() {
    let q = inputs::normal(1, 0.5, (5, 3), DType::F32).unwrap();
    let var = candle_core::Var::from_tensor(&q).unwrap();
    let mean = |a: &Tensor, b: &Tensor| {
        Similarity::new(a, b, Measure::Dot).unwrap().mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal)
    };
    let both = mean(&var, &var).unwrap().backward().unwrap();
    let [left, right] = [(var.as_tensor(), &q), (&q, var.as_tensor())].map(|(a, b)| {
        let loss = mean(a, b).unwrap();
        // Twice: nothing is used up.
        loss.backward().unwrap();
        loss.backward().unwrap().get(&var).unwrap().clone()
    });
    let sum = (left + right).unwrap();
    let off = (sum - both.get(&var).unwrap()).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(off <= 4. * f32::EPSILON, "{off}");
    assert!(mean(&q, &q).unwrap().backward().unwrap().get(&q).is_none());

    let said = |r: Result<Tensor>| r.unwrap_err().to_string();
    let bad = Tensor::new(&[[1f32], [f32::NAN]], q.device()).unwrap();
    assert!(said(mean(&bad, &bad)).starts_with("row 1 of the queries is not finite"));
    let huge = Tensor::new(&[[1f32], [3e38]], q.device()).unwrap();
    assert!(
        said(mean(&huge, &huge)).starts_with("row 1 of the similarity matrix overflows"),
        "{}",
        said(mean(&huge, &huge))
    );
    assert!(said(mean(&q, &huge.broadcast_as((2, 3)).unwrap())).contains("5 queries and 2 gallery rows"));
    let none = Tensor::zeros((0, 3), DType::F32, q.device()).unwrap();
    assert!(said(Similarity::new(&none, &q, Measure::Dot).unwrap().mean_log_sum_exp(&Mask::All)).contains("one query"));
}

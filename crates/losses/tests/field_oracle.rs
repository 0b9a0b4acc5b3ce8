//! The losses of the field in f64 against naive loops over plain numbers, on batches with ragged classes: some with one row,
//! which golden batches do not have.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::inputs;
use npair_types::{ClassId, Labels};
use of_batch::OfBatch;
use proptest::prelude::*;

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];

fn labels(l: &[u32]) -> Labels {
    Labels::new(l.iter().copied()).unwrap()
}

/// Cosines of all rows.
fn cosines(x: &Tensor) -> Vec<Vec<f64>> {
    between(x, x)
}

/// Cosines of the rows of two tensors.
fn between(x: &Tensor, w: &Tensor) -> Vec<Vec<f64>> {
    let [x, w]: [Vec<Vec<f64>>; 2] = [x, w].map(|t| t.to_vec2::<f64>().unwrap());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(p, q)| p * q).sum::<f64>();
    let cosine = |a: &Vec<f64>, b: &Vec<f64>| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    x.iter().map(|a| w.iter().map(|b| cosine(a, b)).collect()).collect()
}

fn close(got: npair_losses::Result<LossValue>, want: f64) {
    let got = got.unwrap().to_f64().unwrap();
    assert!((got - want).abs() <= 1e-11 * want.abs().max(1e-3), "{got} instead of {want}");
}

fn mean(terms: impl IntoIterator<Item = f64>) -> f64 {
    let terms: Vec<f64> = terms.into_iter().collect();
    if terms.is_empty() { 0. } else { terms.iter().sum::<f64>() / terms.len() as f64 }
}

/// Labels of n rows with ragged classes: one, three, five, ... rows each, shuffled a little.
fn ragged(n: usize) -> Labels {
    Labels::new((0..n).map(|i| ((i * 31 % n) as f64).sqrt() as u32)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn losses_of_labelled_batches_equal_loops(n in 4usize..24, width in 2usize..9, seed in 0u64..500) {
        let y = ragged(n);
        let x = inputs::normal(seed, 1., (n, width), DType::F64).unwrap();
        let c = cosines(&x);
        let d2 = |i: usize, j: usize| (2. - 2. * c[i][j]).max(0.);
        let d = |i: usize, j: usize| d2(i, j).sqrt();
        let own = |i: usize| (0..n).filter(|&j| j != i && y.same(i, j)).collect::<Vec<_>>();
        let others = |i: usize| (0..n).filter(|&j| !y.same(i, j)).collect::<Vec<_>>();
        let queries: Vec<usize> = (0..n).filter(|&i| !own(i).is_empty()).collect();
        let pairs: Vec<(usize, usize)> = queries.iter().flat_map(|&i| own(i).into_iter().map(move |p| (i, p))).collect();
        let exps = |rows: Vec<usize>, z: &dyn Fn(usize) -> f64| rows.into_iter().map(|j| z(j).exp()).sum::<f64>();

        let term = |&(i, p): &(usize, usize)| exps(others(i), &|k| (c[i][k] - c[i][p]) / 0.2).ln_1p();
        close(NtXent::new(0.2).unwrap().of_batch(&x, &y), mean(pairs.iter().map(term)));

        let all = |i: usize| exps((0..n).filter(|&j| j != i).collect(), &|j| c[i][j] / 0.2).ln();
        let term = |&i: &usize| mean(own(i).into_iter().map(|p| all(i) - c[i][p] / 0.2));
        close(SupCon::new(0.2).unwrap().of_batch(&x, &y), mean(queries.iter().map(term)));

        let term = |i: usize| {
            exps(own(i), &|p| -2. * (c[i][p] - 0.4)).ln_1p() / 2. + exps(others(i), &|k| 9. * (c[i][k] - 0.4)).ln_1p() / 9.
        };
        close(MultiSimilarity::new(2., 9., 0.4).unwrap().of_batch(&x, &y), mean((0..n).map(term)));

        let slack = |i: usize, p: usize| (c[i][p].clamp(-1., 1.).acos() - 0.3).cos();
        let term = |&(i, p): &(usize, usize)| exps(others(i), &|k| 8. * (c[i][k] - slack(i, p))).ln_1p();
        let degrees = 0.3f64.to_degrees();
        close(TupletMargin::new(degrees, 8.).unwrap().of_batch(&x, &y), mean(pairs.iter().map(term)));

        let triplets: Vec<f64> = pairs
            .iter()
            .flat_map(|&(i, p)| others(i).into_iter().map(move |k| (i, p, k)))
            .map(|(i, p, k)| (d(i, p) - d(i, k) + 0.2).max(0.))
            .collect();
        let active: Vec<f64> = triplets.iter().copied().filter(|&t| t > 0.).collect();
        let got = BatchAllTriplet::new(0.2, Reducer::Mean).unwrap().of_batch(&x, &y).unwrap();
        prop_assert_eq!((got.terms, got.active), (triplets.len(), active.len()));
        close(Ok(got), mean(triplets));
        close(BatchAllTriplet::new(0.2, Reducer::MeanOfNonZero).unwrap().of_batch(&x, &y), mean(active));

        if queries.iter().any(|&i| !others(i).is_empty()) {
            // Of rows as they are, and at length 1; ties have no chance.
            let rows = x.to_vec2::<f64>().unwrap();
            let plain = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt();
            let above = |d: &dyn Fn(usize, usize) -> f64, i: usize| {
                let far = own(i).into_iter().map(|p| d(i, p)).fold(0., f64::max);
                far - others(i).into_iter().map(|k| d(i, k)).fold(f64::INFINITY, f64::min)
            };
            let hinges: Vec<f64> = queries.iter().map(|&i| (above(&plain, i) + 0.2).max(0.)).collect();
            let got = BatchHardTriplet::new(0.2).unwrap().of_batch(&x, &y).unwrap();
            prop_assert_eq!((got.terms, got.active), (queries.len(), hinges.iter().filter(|&&h| h > 0.).count()));
            close(Ok(got), mean(hinges));
            let soft = queries.iter().map(|&i| above(&d, i).exp().ln_1p());
            close(BatchHardTriplet::soft().with_unit_rows().of_batch(&x, &y), mean(soft));
        }

        let near: Vec<f64> = pairs.iter().map(|&(i, p)| (d(i, p) - 0.3).max(0.)).collect();
        let far: Vec<f64> =
            (0..n).flat_map(|i| others(i).into_iter().map(move |k| (i, k))).map(|(i, k)| (1.3 - d(i, k)).max(0.)).collect();
        let some = |v: &[f64]| mean(v.iter().copied().filter(|&t| t > 0.));
        let loss = |r| PairwiseContrastive::new(0.3, 1.3, r).unwrap().of_batch(&x, &y);
        close(loss(Reducer::MeanOfNonZero), some(&near) + some(&far));
        close(loss(Reducer::Mean), mean(near) + mean(far));

        let lift = |i: usize| exps(others(i), &|k| 1. - d(i, k));
        let term = |&(i, p): &(usize, usize)| ((lift(i) + lift(p)).ln() + d(i, p) - 0.1).max(0.).powi(2) / 2.;
        close(LiftedStructure::new(1., 0.1).unwrap().of_batch(&x, &y), mean(pairs.iter().map(term)));

        let term = |&i: &usize| (exps(own(i), &|p| d(i, p) - 0.1).ln() + lift(i).ln()).max(0.);
        close(GeneralizedLiftedStructure::new(1., 0.1).unwrap().of_batch(&x, &y), mean(queries.iter().map(term)));

        let p = |c: f64| -6. * (1.3 - c).max(0.) * (c - 0.7);
        let q = |c: f64| 6. * (c + 0.3).max(0.) * (c - 0.3);
        let term = |&i: &usize| (exps(own(i), &|j| p(c[i][j])) * exps(others(i), &|j| q(c[i][j]))).ln_1p();
        close(Circle::new(0.3, 6.).unwrap().of_batch(&x, &y), mean(queries.iter().map(term)));

        let bins = 7;
        let h = |i: usize, rows: Vec<usize>, l: usize| -> f64 {
            rows.into_iter().map(|j| (1. - (d2(i, j) - 4. * l as f64 / 7.).abs() * 7. / 4.).max(0.)).sum()
        };
        let term = |&i: &usize| {
            let (mut seen, mut ranked, mut ap) = (0., 0., 0.);
            for l in 0..=bins {
                seen += h(i, own(i), l);
                ranked += h(i, own(i), l) + h(i, others(i), l);
                ap += if ranked > 0. { h(i, own(i), l) * seen / ranked } else { 0. };
            }
            1. - ap / own(i).len() as f64
        };
        close(FastAp::new(bins).unwrap().of_batch(&x, &y), mean(queries.iter().map(term)));
    }

    #[test]
    fn losses_with_weights_equal_loops(n in 1usize..20, d in 2usize..9, k in 1usize..4, seed in 0u64..500) {
        let y = Labels::new((0..n).map(|i| [5, 2, 9, 5][i % 4])).unwrap();
        let own = |i: usize| CLASSES.iter().position(|&c| c == y.get(i)).unwrap();
        let x = inputs::normal(seed, 1., (n, d), DType::F64).unwrap();
        let w = inputs::normal(seed + 1, 1., (3, d), DType::F64).unwrap();
        let c = between(&x, &w);
        // Softmax with another logit for the own class.
        let softmax = |logit: &dyn Fn(usize, usize) -> f64, own_logit: &dyn Fn(usize) -> f64| {
            mean((0..n).map(|i| {
                (0..3).filter(|&j| j != own(i)).map(|j| (logit(i, j) - own_logit(i)).exp()).sum::<f64>().ln_1p()
            }))
        };
        let plain = |s: f64| softmax(&|i, j| s * c[i][j], &|i| s * c[i][own(i)]);
        let loss = NormalizedSoftmax::from_parts(&CLASSES, &w).unwrap().with_temperature(0.25).unwrap();
        close(loss.of_batch(&x, &y), plain(4.));
        close(ProxyNca::from_parts(&CLASSES, &w).unwrap().with_scale(3.).unwrap().of_batch(&x, &y), plain(6.));
        let loss = CosFace::from_parts(&CLASSES, &w).unwrap().with_margin(0.2).unwrap().with_scale(5.).unwrap();
        close(loss.of_batch(&x, &y), softmax(&|i, j| 5. * c[i][j], &|i| 5. * (c[i][own(i)] - 0.2)));
        let arc = |c: f64| {
            let theta = c.clamp(-1., 1.).acos();
            if theta + 0.6 <= std::f64::consts::PI { (theta + 0.6).cos() } else { c - 0.6 * 0.6f64.sin() }
        };
        let degrees = 0.6f64.to_degrees();
        let loss = ArcFace::from_parts(&CLASSES, &w).unwrap().with_margin(degrees).unwrap().with_scale(5.).unwrap();
        close(loss.of_batch(&x, &y), softmax(&|i, j| 5. * c[i][j], &|i| 5. * arc(c[i][own(i)])));
        let norm: Vec<f64> = x.sqr().unwrap().sum(1).unwrap().sqrt().unwrap().to_vec1().unwrap();
        for m in 1..6 {
            let psi = |c: f64| {
                let angle = c.clamp(-1., 1.).acos() * f64::from(m);
                let turns = (angle / std::f64::consts::PI).floor();
                angle.cos() * (-1f64).powf(turns) - 2. * turns
            };
            let loss = SphereFace::from_parts(&CLASSES, &w).unwrap().with_margin(m).unwrap().with_scale(0.5).unwrap();
            let want = softmax(&|i, j| 0.5 * norm[i] * c[i][j], &|i| 0.5 * norm[i] * psi(c[i][own(i)]));
            close(loss.of_batch(&x, &y), want);
        }
        let near = |j: usize| {
            (0..n).filter(|&i| own(i) == j).map(|i| (-3. * (c[i][j] - 0.2)).exp()).sum::<f64>().ln_1p()
        };
        let far = |j: usize| (0..n).filter(|&i| own(i) != j).map(|i| (3. * (c[i][j] + 0.2)).exp()).sum::<f64>().ln_1p();
        let present = (0..3).filter(|&j| (0..n).any(|i| own(i) == j));
        let loss = ProxyAnchor::from_parts(&CLASSES, &w).unwrap().with_alpha(3.).unwrap().with_margin(0.2).unwrap();
        close(loss.of_batch(&x, &y), mean(present.map(near)) + mean((0..3).map(far)));

        let w = inputs::normal(seed + 2, 1., (3 * k, d), DType::F64).unwrap();
        let c = between(&x, &w);
        let nearest = |i: usize, j: usize| c[i][j * k..(j + 1) * k].iter().copied().fold(-1., f64::max);
        let loss = SubCenterArcFace::from_parts(&CLASSES, k, &w).unwrap();
        let loss = loss.with_margin(degrees).unwrap().with_scale(5.).unwrap();
        close(loss.of_batch(&x, &y), softmax(&|i, j| 5. * nearest(i, j), &|i| 5. * arc(nearest(i, own(i)))));
        let soft = |i: usize, j: usize| {
            let c = &c[i][j * k..(j + 1) * k];
            c.iter().map(|c| c * (c / 0.3).exp()).sum::<f64>() / c.iter().map(|c| (c / 0.3).exp()).sum::<f64>()
        };
        let loss = SoftTriple::from_parts(&CLASSES, k, &w).unwrap().with_lambda(5.).unwrap();
        let loss = loss.with_gamma(0.3).unwrap().with_margin(0.1).unwrap();
        close(loss.of_batch(&x, &y), softmax(&|i, j| 5. * soft(i, j), &|i| 5. * (soft(i, own(i)) - 0.1)));
    }
}

#[test]
fn losses_without_golden_values_equal_loops() {
    for seed in 0..20 {
        let n = 6 + seed as usize % 5;
        let y = Labels::new((0..n).map(|i| [5, 5, 2, 9, 5, 2, 2, 5, 9, 5][i])).unwrap();
        let x = inputs::normal(100 + seed, 1., (n, 5), DType::F64).unwrap();
        let c = cosines(&x);
        let d = |i: usize, j: usize| (2. - 2. * c[i][j]).sqrt();
        let all = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j);
        let step = |z: f64| 1. / (1. + (-z).exp());

        let mut terms = Vec::new();
        for i in 0..n {
            let positives: Vec<usize> = (0..n).filter(|&j| j != i && y.same(i, j)).collect();
            let rank = |j: usize, own: bool| -> f64 {
                let ranked = (0..n).filter(|&k| k != i && k != j && (!own || y.same(i, k)));
                1. + ranked.map(|k| step((c[i][k] - c[i][j]) / 0.05)).sum::<f64>()
            };
            if !positives.is_empty() {
                let ap = positives.iter().map(|&j| rank(j, true) / rank(j, false)).sum::<f64>();
                terms.push(1. - ap / positives.len() as f64);
            }
        }
        close(SmoothAp::new(0.05).unwrap().of_batch(&x, &y), terms.iter().sum::<f64>() / terms.len() as f64);

        let nodes = 11;
        let kernel = |c: f64, r: usize| (1. - (c - (-1. + 0.2 * r as f64)).abs() / 0.2).max(0.);
        let h = |same: bool, r: usize| {
            let of: Vec<f64> = all().filter(|&(i, j)| y.same(i, j) == same).map(|(i, j)| kernel(c[i][j], r)).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        let want = (0..nodes).map(|r| h(false, r) * (0..=r).map(|q| h(true, q)).sum::<f64>()).sum();
        close(Histogram::new(nodes).unwrap().of_batch(&x, &y), want);

        let row = |i: usize| {
            let own = (0..n).filter(|&p| p != i && y.same(i, p) && d(i, p) > 0.8);
            let others: Vec<f64> = (0..n).filter(|&k| !y.same(i, k) && d(i, k) < 1.2).map(|k| 1.2 - d(i, k)).collect();
            let weights = others.iter().map(|o| (10. * o).exp()).sum::<f64>();
            let far = others.iter().map(|o| o * (10. * o).exp() / weights).sum::<f64>();
            0.5 * mean(own.map(|p| d(i, p) - 0.8)) + 0.5 * far
        };
        close(RankedList::default().of_batch(&x, &y), (0..n).map(row).sum::<f64>() / n as f64);

        let boundary = |i: usize| if y.get(i) == ClassId(2) { 1.1 } else { 1.3 };
        let hinge = |(i, j): (usize, usize)| {
            (0.2 + if y.same(i, j) { d(i, j) - boundary(i) } else { boundary(i) - d(i, j) }).max(0.)
        };
        let boundaries = Tensor::new(&[1.1f64, 1.3, 1.3], &Device::Cpu).unwrap();
        let loss = MarginLoss::from_parts(&CLASSES, &boundaries).unwrap();
        close(loss.of_batch(&x, &y), mean(all().map(hinge).filter(|&t| t > 0.).collect::<Vec<f64>>()));
        close(loss.with_reducer(Reducer::Mean).of_batch(&x, &y), mean(all().map(hinge).collect::<Vec<f64>>()));

        let both = Tensor::cat(&[&x, &inputs::normal(200 + seed, 1., (n, 5), DType::F64).unwrap()], 0).unwrap();
        let c = cosines(&both);
        let z = |i: usize, j: usize| 0.7f64.exp() * c[i][n + j] - 0.4;
        let row = |i: usize| (0..n).map(|j| if i == j { (-z(i, j)).exp() } else { z(i, j).exp() }.ln_1p()).sum::<f64>();
        let scalars = [0.7f64, -0.4].map(|v| Tensor::new(v, &Device::Cpu).unwrap());
        let loss = SigLip::from_parts(&scalars[0], &scalars[1]).unwrap();
        let halves = [both.narrow(0, 0, n).unwrap(), both.narrow(0, n, n).unwrap()];
        close(loss.forward_pairs(&halves[0], &halves[1]), (0..n).map(row).sum::<f64>() / n as f64);
    }
}

#[test]
fn the_ranked_lists_weights_are_constants_in_its_gradient() {
    let y = labels(&[5, 5, 2, 9, 5, 2]);
    let x = Var::from_tensor(&inputs::normal(51, 1., (6, 3), DType::F64).unwrap()).unwrap();
    let c = cosines(&x);
    let d = |i: usize, j: usize| (2. - 2. * c[i][j]).sqrt();
    // The same as a weighted sum of distances with numbers for weights.
    let mut weights = vec![0.; 36];
    for i in 0..6 {
        let own: Vec<usize> = (0..6).filter(|&p| p != i && y.same(i, p) && d(i, p) > 0.8).collect();
        let others: Vec<usize> = (0..6).filter(|&n| !y.same(i, n) && d(i, n) < 1.2).collect();
        let total: f64 = others.iter().map(|&n| (-10. * d(i, n)).exp()).sum();
        own.iter().for_each(|&p| weights[i * 6 + p] = 0.5 / own.len() as f64 / 6.);
        others.iter().for_each(|&n| weights[i * 6 + n] = -0.5 * (-10. * d(i, n)).exp() / total / 6.);
    }
    let weights = Tensor::from_vec(weights, (6, 6), &Device::Cpu).unwrap();
    let norms = x.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
    let unit = x.broadcast_div(&norms).unwrap();
    let gap = unit.unsqueeze(1).unwrap().broadcast_sub(&unit.unsqueeze(0).unwrap()).unwrap();
    // The diagonal has no weight; the 1 keeps its root from the slope at 0.
    let squares = (gap.sqr().unwrap().sum(2).unwrap() + Tensor::eye(6, DType::F64, &Device::Cpu).unwrap()).unwrap();
    let plain = (squares.sqrt().unwrap() * weights).unwrap().sum_all().unwrap();
    let grad = |t: &Tensor| t.backward().unwrap().get(&x).unwrap().clone();
    let got = grad(&RankedList::default().of_batch(&x, &y).unwrap().value);
    let error = npair_testkit::golden::relative_error(&got, &grad(&plain)).unwrap();
    assert!(error < 1e-12, "{error}");
}

#[test]
fn angular_loss_equals_a_loop() {
    let y = labels(&[5, 5, 2, 5, 9, 2]);
    let x = inputs::normal(41, 1., (6, 3), DType::F64).unwrap();
    let rows: Vec<Vec<f64>> = x.to_vec2::<f64>().unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(p, q)| p * q).sum::<f64>();
    let unit: Vec<Vec<f64>> =
        rows.iter().map(|r| r.iter().map(|v| v / dot(r, r).sqrt()).collect::<Vec<f64>>()).collect();
    let t = 36f64.to_radians().tan().powi(2);
    let mut terms = Vec::new();
    for a in 0..6 {
        for p in (0..6).filter(|&p| p != a && y.same(a, p)) {
            let others = (0..6).filter(|&n| !y.same(n, a));
            let z = |n: usize| {
                4. * t * (dot(&unit[a], &unit[n]) + dot(&unit[p], &unit[n])) - 2. * (1. + t) * dot(&unit[a], &unit[p])
            };
            terms.push(others.map(|n| z(n).exp()).sum::<f64>().ln_1p());
        }
    }
    let want = terms.iter().sum::<f64>() / terms.len() as f64;
    let got = Angular::new(36.).unwrap().of_batch(&x, &y).unwrap().to_f64().unwrap();
    assert!((got - want).abs() < 1e-12 * want, "{got} {want}");
}

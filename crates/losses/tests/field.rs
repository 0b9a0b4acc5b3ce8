//! The losses of the field beyond the paper's: gradients against central differences, extreme inputs, and what is said
//! when a batch has nothing to compare. Values are compared in `golden.rs` and, where that has none, here with loops.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs, reach};
use npair_types::{ClassId, Labels, Purpose, Streams};

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];

/// The losses without variables, at their own settings.
fn plain() -> Vec<(&'static str, Box<dyn Loss>)> {
    vec![
        ("nt-xent", Box::<NtXent>::default()),
        ("sup-con", Box::<SupCon>::default()),
        ("multi-similarity", Box::<MultiSimilarity>::default()),
        ("angular", Box::<Angular>::default()),
        ("tuplet margin", Box::<TupletMargin>::default()),
        ("triplet margin", Box::<TripletMarginAll>::default()),
        ("contrastive", Box::<ContrastiveAll>::default()),
        ("lifted", Box::<LiftedStructure>::default()),
        ("generalised lifted", Box::<GeneralisedLiftedStructure>::default()),
        ("circle", Box::<Circle>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::<SmoothAp>::default()),
        ("histogram", Box::<Histogram>::default()),
        ("ranked list", Box::<RankedList>::default()),
    ]
}

/// Those with weights of their own: how many rows per class, and how to make them.
type Made = fn(&Tensor) -> npair_losses::Result<Box<dyn Loss>>;
fn weighted() -> Vec<(&'static str, usize, Made)> {
    vec![
        ("normalised softmax", 1, |w| Ok(Box::new(NormalisedSoftmax::from_parts(&CLASSES, w)?))),
        ("cosface", 1, |w| Ok(Box::new(CosFace::from_parts(&CLASSES, w)?))),
        ("arcface", 1, |w| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?))),
        ("sphereface", 1, |w| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?))),
        ("proxy-nca", 1, |w| Ok(Box::new(ProxyNca::from_parts(&CLASSES, w)?))),
        ("proxy-anchor", 1, |w| Ok(Box::new(ProxyAnchor::from_parts(&CLASSES, w)?))),
        ("sub-centre arcface", 2, |w| Ok(Box::new(SubCentreArcFace::from_parts(&CLASSES, 2, w)?))),
        ("soft-triple", 2, |w| Ok(Box::new(SoftTriple::from_parts(&CLASSES, 2, w)?))),
    ]
}

fn labels(l: &[u32]) -> Labels {
    Labels::new(l.iter().copied()).unwrap()
}

fn wrap(l: npair_losses::Result<LossValue>) -> candle_core::Result<Tensor> {
    l.map(|l| l.value).map_err(candle_core::Error::wrap)
}

#[test]
fn gradients_agree_with_central_differences() {
    // One class with four examples, one with two, one alone. The larger scales of the defaults (64, 80) have third
    // derivatives beyond what a central difference sees, so those losses are taken at smaller ones.
    let y = labels(&[5, 5, 2, 5, 9, 2, 5]);
    let x = inputs::normal(21, 0.7, (7, 4), DType::F64).unwrap();
    let mild: Vec<(&str, Box<dyn Loss>)> = vec![
        ("nt-xent", Box::new(NtXent::new(0.5).unwrap())),
        ("sup-con", Box::new(SupCon::new(0.5).unwrap())),
        ("multi-similarity", Box::new(MultiSimilarity::new(2., 5., 0.5).unwrap())),
        ("angular", Box::new(Angular::new(40.).unwrap())),
        ("tuplet margin", Box::new(TupletMargin::new(5.73, 4.).unwrap())),
        ("triplet margin", Box::new(TripletMarginAll::new(0.3, Reducer::Mean).unwrap())),
        ("triplet margin, non-zero", Box::new(TripletMarginAll::new(0.3, Reducer::MeanOfNonZero).unwrap())),
        ("contrastive", Box::new(ContrastiveAll::new(0.1, 1.2, Reducer::Mean).unwrap())),
        ("contrastive, non-zero", Box::new(ContrastiveAll::new(0.1, 1.2, Reducer::MeanOfNonZero).unwrap())),
        ("lifted", Box::<LiftedStructure>::default()),
        ("generalised lifted", Box::<GeneralisedLiftedStructure>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::new(SmoothAp::new(0.2).unwrap())),
        ("histogram", Box::new(Histogram::new(9).unwrap())),
        // Without weights, which are constants in the gradient.
        ("ranked list", Box::new(RankedList::new(1.2, 0.4, 0., 0.3).unwrap())),
    ];
    for (name, loss) in &mild {
        gradient::check(std::slice::from_ref(&x), |t| wrap(loss.forward(&t[0], &y)))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let other = inputs::normal(22, 0.7, (7, 4), DType::F64).unwrap();
    gradient::check(&[x.clone(), other], |t| wrap(Angular::default().against(&t[0], &t[1], &y))).unwrap();
    let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
    for reducer in [Reducer::Mean, Reducer::MeanOfNonZero] {
        gradient::check(&[x.clone(), boundaries.clone()], |t| {
            wrap(MarginLoss::from_parts(&CLASSES, &t[1]).and_then(|l| l.with_reducer(reducer).forward(&t[0], &y)))
        })
        .unwrap();
    }
    let scalars = [0.7f64, -0.4].map(|v| Tensor::new(v, &Device::Cpu).unwrap());
    let positives = inputs::normal(24, 0.7, (7, 4), DType::F64).unwrap();
    gradient::check(&[x.clone(), positives, scalars[0].clone(), scalars[1].clone()], |t| {
        wrap(SigLip::from_parts(&t[2], &t[3]).and_then(|l| l.of_pairs(&t[0], &t[1])))
    })
    .unwrap();
    let made: Vec<(&str, usize, Made)> = vec![
        ("normalised softmax", 1, |w| Ok(Box::new(NormalisedSoftmax::from_parts(&CLASSES, w)?.with_temperature(0.3)?))),
        ("cosface", 1, |w| Ok(Box::new(CosFace::from_parts(&CLASSES, w)?.with_scale(3.)?))),
        ("arcface", 1, |w| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?.with_scale(3.)?))),
        ("arcface, wide", 1, |w| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?.with_margin(100.)?.with_scale(3.)?))),
        ("sphereface", 1, |w| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?))),
        ("sphereface, 3", 1, |w| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?.with_margin(3)?))),
        ("proxy-nca", 1, |w| Ok(Box::new(ProxyNca::from_parts(&CLASSES, w)?))),
        ("proxy-anchor", 1, |w| Ok(Box::new(ProxyAnchor::from_parts(&CLASSES, w)?.with_alpha(3.)?))),
        ("sub-centre arcface", 2, |w| Ok(Box::new(SubCentreArcFace::from_parts(&CLASSES, 2, w)?.with_scale(3.)?))),
        ("soft-triple", 2, |w| Ok(Box::new(SoftTriple::from_parts(&CLASSES, 2, w)?.with_lambda(3.)?.with_gamma(0.5)?))),
    ];
    for (name, per_class, made) in made {
        let w = inputs::normal(23, 0.5, (3 * per_class, 4), DType::F64).unwrap();
        let run = |t: &[Tensor]| wrap(made(&t[1]).and_then(|l| l.forward(&t[0], &y)));
        gradient::check(&[x.clone(), w], run).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn one_centre_is_arcface_and_no_margin_is_normalised_softmax() {
    let y = labels(&[5, 2, 9, 9, 5]);
    let x = inputs::normal(31, 1., (5, 6), DType::F64).unwrap();
    let w = inputs::normal(32, 1., (3, 6), DType::F64).unwrap();
    let value = |l: npair_losses::Result<LossValue>| l.unwrap().to_f64().unwrap();
    let arc = value(ArcFace::from_parts(&CLASSES, &w).unwrap().forward(&x, &y));
    let sub = value(SubCentreArcFace::from_parts(&CLASSES, 1, &w).unwrap().forward(&x, &y));
    assert!((arc - sub).abs() < 1e-12 * arc, "{arc} {sub}");
    let plain = NormalisedSoftmax::from_parts(&CLASSES, &w).unwrap().with_temperature(0.25).unwrap();
    let plain = value(plain.forward(&x, &y));
    let cos = CosFace::from_parts(&CLASSES, &w).unwrap().with_margin(0.).unwrap().with_scale(4.).unwrap();
    let triple = SoftTriple::from_parts(&CLASSES, 1, &w).unwrap().with_margin(0.).unwrap().with_lambda(4.).unwrap();
    for other in [value(cos.forward(&x, &y)), value(triple.forward(&x, &y))] {
        assert!((plain - other).abs() < 1e-12 * plain, "{plain} {other}");
    }
}

/// Rows of length 1, their cosines and distances.
fn cosines(x: &Tensor) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = x.to_vec2::<f64>().unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(p, q)| p * q).sum::<f64>();
    let cosine = |a: &Vec<f64>, b: &Vec<f64>| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    rows.iter().map(|a| rows.iter().map(|b| cosine(a, b)).collect()).collect()
}

fn close(got: npair_losses::Result<LossValue>, want: f64) {
    let got = got.unwrap().to_f64().unwrap();
    assert!((got - want).abs() <= 1e-11 * want.abs().max(1e-3), "{got} instead of {want}");
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
        close(SmoothAp::new(0.05).unwrap().forward(&x, &y), terms.iter().sum::<f64>() / terms.len() as f64);

        let nodes = 11;
        let kernel = |c: f64, r: usize| (1. - (c - (-1. + 0.2 * r as f64)).abs() / 0.2).max(0.);
        let h = |same: bool, r: usize| {
            let of: Vec<f64> = all().filter(|&(i, j)| y.same(i, j) == same).map(|(i, j)| kernel(c[i][j], r)).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        let want = (0..nodes).map(|r| h(false, r) * (0..=r).map(|q| h(true, q)).sum::<f64>()).sum();
        close(Histogram::new(nodes).unwrap().forward(&x, &y), want);

        let mean = |v: Vec<f64>| if v.is_empty() { 0. } else { v.iter().sum::<f64>() / v.len() as f64 };
        let row = |i: usize| {
            let own = (0..n).filter(|&p| p != i && y.same(i, p) && d(i, p) > 0.8);
            let others: Vec<f64> = (0..n).filter(|&k| !y.same(i, k) && d(i, k) < 1.2).map(|k| 1.2 - d(i, k)).collect();
            let weights = others.iter().map(|o| (10. * o).exp()).sum::<f64>();
            let far = others.iter().map(|o| o * (10. * o).exp() / weights).sum::<f64>();
            0.5 * mean(own.map(|p| d(i, p) - 0.8).collect()) + 0.5 * far
        };
        close(RankedList::default().forward(&x, &y), (0..n).map(row).sum::<f64>() / n as f64);

        let boundary = |i: usize| if y.get(i) == ClassId(2) { 1.1 } else { 1.3 };
        let hinge = |(i, j): (usize, usize)| {
            (0.2 + if y.same(i, j) { d(i, j) - boundary(i) } else { boundary(i) - d(i, j) }).max(0.)
        };
        let boundaries = Tensor::new(&[1.1f64, 1.3, 1.3], &Device::Cpu).unwrap();
        let loss = MarginLoss::from_parts(&CLASSES, &boundaries).unwrap();
        close(loss.forward(&x, &y), mean(all().map(hinge).filter(|&t| t > 0.).collect()));
        close(loss.with_reducer(Reducer::Mean).forward(&x, &y), mean(all().map(hinge).collect()));

        let both = Tensor::cat(&[&x, &inputs::normal(200 + seed, 1., (n, 5), DType::F64).unwrap()], 0).unwrap();
        let c = cosines(&both);
        let z = |i: usize, j: usize| 0.7f64.exp() * c[i][n + j] - 0.4;
        let row = |i: usize| (0..n).map(|j| if i == j { (-z(i, j)).exp() } else { z(i, j).exp() }.ln_1p()).sum::<f64>();
        let scalars = [0.7f64, -0.4].map(|v| Tensor::new(v, &Device::Cpu).unwrap());
        let loss = SigLip::from_parts(&scalars[0], &scalars[1]).unwrap();
        let halves = [both.narrow(0, 0, n).unwrap(), both.narrow(0, n, n).unwrap()];
        close(loss.of_pairs(&halves[0], &halves[1]), (0..n).map(row).sum::<f64>() / n as f64);
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
    let got = grad(&RankedList::default().forward(&x, &y).unwrap().value);
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
    let got = Angular::new(36.).unwrap().forward(&x, &y).unwrap().to_f64().unwrap();
    assert!((got - want).abs() < 1e-12 * want, "{got} {want}");
}

#[test]
fn extreme_inputs_give_finite_values_and_gradients() {
    // Opposite rows of length 1e4, duplicates within and across classes, zero rows, rows too short or long to be squared.
    let rows =
        [[1e4f32, 0.], [-1e4, 0.], [1e4, 0.], [0., 0.], [0., 0.], [1e4, 0.], [1e-30, 0.], [0., 1e30], [1., 1e-7]];
    let y = labels(&[2, 5, 2, 5, 5, 9, 9, 2, 2]);
    let finite = |name: &str, value: &LossValue, vars: &[&Var]| {
        let v = value.to_f64().unwrap();
        assert!(v.is_finite(), "{name}: {v}");
        let grads = value.value.backward().unwrap();
        for var in vars {
            let grad = grads.get(var).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            let grad = grad.to_vec1::<f64>().unwrap();
            assert!(grad.iter().all(|g| g.is_finite()), "{name}: {grad:?}");
        }
    };
    for dtype in [DType::F32, DType::F64] {
        let all = Tensor::new(&rows, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let x = Var::from_tensor(&all).unwrap();
        for (name, loss) in plain() {
            finite(name, &loss.forward(&x, &y).unwrap(), &[&x]);
        }
        let margin = MarginLoss::new(&CLASSES, dtype, &Device::Cpu).unwrap();
        finite("margin", &margin.forward(&x, &y).unwrap(), &[&x, &margin.variables()[0].1]);
        let pairs = labels(&[1, 2, 2, 3, 3, 4, 4, 1]);
        let eight = x.narrow(0, 0, 8).unwrap();
        // The second with logits of 1e4.
        let hot = [1e4f64.ln(), -1e4].map(|v| Tensor::new(v, &Device::Cpu).unwrap().to_dtype(dtype).unwrap());
        for loss in [SigLip::new(dtype, &Device::Cpu).unwrap(), SigLip::from_parts(&hot[0], &hot[1]).unwrap()] {
            let vars = loss.variables();
            let vars: Vec<&Var> = vars.iter().map(|(_, v)| v).chain([&x]).collect();
            finite("siglip", &loss.forward(&eight, &pairs).unwrap(), &vars);
        }
        // SphereFace keeps lengths: its logits are up to 1e30.
        for (name, per_class, made) in weighted() {
            let w = [[3f32, 0.], [0., 0.], [-2., 0.], [3., 0.], [0., 1.], [1., 1.]];
            let w = Tensor::new(&w, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let w = Var::from_tensor(&w.narrow(0, 0, 3 * per_class).unwrap()).unwrap();
            finite(name, &made(&w).unwrap().forward(&x, &y).unwrap(), &[&x, &w]);
        }
    }
}

#[test]
fn own_variables_are_reached_and_unknown_classes_refused() {
    let rng = || Streams::new(3).open(Purpose::Initialisation, [0, 0]);
    let (t, cpu) = (DType::F32, &Device::Cpu);
    let losses: Vec<(&str, Box<dyn Loss>)> = vec![
        ("weights", Box::new(NormalisedSoftmax::new(&CLASSES, 4, &mut rng(), t, cpu).unwrap())),
        ("weights", Box::new(CosFace::new(&CLASSES, 4, &mut rng(), t, cpu).unwrap())),
        ("weights", Box::new(ArcFace::new(&CLASSES, 4, &mut rng(), t, cpu).unwrap())),
        ("weights", Box::new(SphereFace::new(&CLASSES, 4, &mut rng(), t, cpu).unwrap())),
        ("proxies", Box::new(ProxyNca::new(&CLASSES, 4, &mut rng(), t, cpu).unwrap())),
        ("proxies", Box::new(ProxyAnchor::new(&CLASSES, 4, &mut rng(), t, cpu).unwrap())),
        ("weights", Box::new(SubCentreArcFace::new(&CLASSES, 3, 4, &mut rng(), t, cpu).unwrap())),
        ("centres", Box::new(SoftTriple::new(&CLASSES, 10, 4, &mut rng(), t, cpu).unwrap())),
    ];
    let x = Var::from_tensor(&inputs::normal(1, 1., (3, 4), DType::F32).unwrap()).unwrap();
    for (name, loss) in losses {
        // A single example of a single class is a batch for these.
        let one = loss.forward(&x.narrow(0, 0, 1).unwrap(), &labels(&[5])).unwrap().to_f64().unwrap();
        assert!(one.is_finite() && one > 0., "{one}");
        let value = loss.forward(&x, &labels(&[9, 2, 9])).unwrap();
        let vars = loss.variables();
        assert_eq!(vars.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [name]);
        let named = vars.iter().map(|(n, v)| (*n, v)).chain([("embeddings", &x)]);
        assert_eq!(reach::dead(&value.value, named).unwrap(), Vec::<String>::new());
        let said = |l: npair_losses::Result<LossValue>| l.unwrap_err().to_string();
        assert!(said(loss.forward(&x, &labels(&[9, 3, 9]))).contains("class 3 is none"));
        assert!(said(loss.forward(&x, &labels(&[9, 2]))).contains("2 entries, but 3"));
        assert!(said(loss.forward(&x.narrow(1, 0, 3).unwrap(), &labels(&[9, 2, 9]))).contains("(B, 4)"));
        assert!(said(loss.forward(&x.to_dtype(DType::F64).unwrap(), &labels(&[9, 2, 9]))).contains("F32"));
        let bad = Tensor::new(&[[1f32, 0., 0., 0.], [0., f32::NAN, 0., 0.]], cpu).unwrap();
        assert!(said(loss.forward(&bad, &labels(&[9, 2]))).contains("row 1 of the"));
    }
    let margin = MarginLoss::new(&CLASSES, t, cpu).unwrap();
    // Boundaries of classes with as many positives above 0 as negatives have no slope: these have not.
    let (y, near) = (labels(&[9, 2, 9, 5]), Tensor::ones((4, 2), t, cpu).unwrap());
    let value = margin.forward(&near, &y).unwrap();
    let vars = margin.variables();
    assert_eq!(reach::dead(&value.value, vars.iter().map(|(n, v)| (*n, v))).unwrap(), Vec::<String>::new());
    let unknown = margin.forward(&near, &labels(&[9, 2, 3, 5])).unwrap_err().to_string();
    assert!(unknown.contains("class 3 is none"), "{unknown}");
    assert!(margin.forward(&near.narrow(0, 0, 1).unwrap(), &labels(&[9])).unwrap_err().to_string().contains("least 2"));
    assert!(MarginLoss::from_parts(&CLASSES, &near).unwrap_err().to_string().contains("(3)"));
    let siglip = SigLip::new(t, cpu).unwrap();
    let value = siglip.of_pairs(&x, &x.flip(&[0]).unwrap()).unwrap();
    let vars = siglip.variables();
    let named = vars.iter().map(|(n, v)| (*n, v)).chain([("embeddings", &x)]);
    assert_eq!(reach::dead(&value.value, named).unwrap(), Vec::<String>::new());
    let one = x.narrow(0, 0, 1).unwrap();
    assert!(siglip.of_pairs(&one, &one).unwrap_err().to_string().contains("at least 2 pairs"));
    assert!(SigLip::from_parts(&near, &near).unwrap_err().to_string().contains("a scalar"));
    assert!(CosFace::new(&[ClassId(1)], 4, &mut rng(), t, cpu).unwrap_err().to_string().contains("distinct classes"));
    assert!(CosFace::new(&CLASSES, 0, &mut rng(), t, cpu).unwrap_err().to_string().contains("embedding dimensions"));
    assert!(SoftTriple::new(&CLASSES, 0, 4, &mut rng(), t, cpu).unwrap_err().to_string().contains("centres"));
    let w = inputs::normal(2, 1., (4, 4), DType::F32).unwrap();
    assert!(ArcFace::from_parts(&CLASSES, &w).unwrap_err().to_string().contains("(3, D)"));
}

#[test]
fn batches_with_nothing_to_compare_are_refused_by_name() {
    // Rows near each other, so that the hinge of negatives is not satisfied.
    let x = (inputs::normal(1, 0.1, (4, 3), DType::F32).unwrap() + 1.).unwrap();
    for (name, loss) in plain() {
        let said = |x: &Tensor, l: &[u32]| loss.forward(x, &labels(l)).map(|v| v.to_f64().unwrap());
        let one = said(&x.narrow(0, 0, 1).unwrap(), &[1]).unwrap_err().to_string();
        assert!(one.contains("at least 2"), "{name}: {one}");
        assert!(said(&x, &[1, 1, 2]).unwrap_err().to_string().contains("3 entries, but 4"), "{name}");
        let bad = Tensor::new(&[[1f32, 0.], [f32::NAN, 0.], [0., 1.], [0., 1.]], &Device::Cpu).unwrap();
        let bad = said(&bad, &[1, 2, 1, 2]).unwrap_err().to_string();
        assert!(bad.contains("row 1 of the") && bad.contains("not finite"), "{name}: {bad}");
        if matches!(name, "multi-similarity" | "contrastive" | "ranked list") {
            // Either half is a loss of its own; the ranked list finds nothing to pull together in one near class.
            let one = loss.forward(&x, &labels(&[1, 1, 1, 1])).unwrap();
            assert!(one.to_f64().unwrap() > 0. || (name, one.active) == ("ranked list", 0), "{name}");
            assert!(said(&x, &[1, 2, 3, 4]).unwrap() > 0., "{name}");
        } else {
            assert!(said(&x, &[1, 1, 1, 1]).unwrap_err().to_string().contains("at least 2 classes"), "{name}");
            assert!(said(&x, &[1, 2, 3, 4]).unwrap_err().to_string().contains("examples of one class"), "{name}");
        }
    }
    // Two classes far apart and each in one place: all hinges are satisfied, and that is said.
    let x = Var::new(&[[1f64, 0.], [1., 0.], [-1., 0.], [-1., 0.]], &Device::Cpu).unwrap();
    let y = labels(&[1, 1, 2, 2]);
    let learned = MarginLoss::new(&[ClassId(1), ClassId(2)], DType::F64, &Device::Cpu).unwrap();
    let hinged: [&dyn Loss; 4] =
        [&TripletMarginAll::default(), &ContrastiveAll::default(), &RankedList::default(), &learned];
    for loss in hinged {
        let value = loss.forward(&x, &y).unwrap();
        assert_eq!((value.to_f64().unwrap(), value.active), (0., 0));
        let grad = value.value.backward().unwrap().get(&x).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(grad.to_scalar::<f64>().unwrap(), 0.);
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let said = |e: npair_losses::Error| e.to_string();
    let w = inputs::normal(2, 1., (3, 4), DType::F32).unwrap();
    let nan = f64::NAN;
    let all = [
        said(NtXent::new(0.).unwrap_err()),
        said(SupCon::new(-1.).unwrap_err()),
        said(MultiSimilarity::new(2., nan, 0.5).unwrap_err()),
        said(Angular::new(90.).unwrap_err()),
        said(TupletMargin::new(5., f64::INFINITY).unwrap_err()),
        said(TripletMarginAll::new(-0.1, Reducer::Mean).unwrap_err()),
        said(ContrastiveAll::new(0., nan, Reducer::Mean).unwrap_err()),
        said(LiftedStructure::new(nan, 0.).unwrap_err()),
        said(GeneralisedLiftedStructure::new(1., nan).unwrap_err()),
        said(Circle::new(1.5, 80.).unwrap_err()),
        said(FastAp::new(0).unwrap_err()),
        said(SmoothAp::new(0.).unwrap_err()),
        said(Histogram::new(1).unwrap_err()),
        said(RankedList::new(1.2, 1.3, 10., 0.5).unwrap_err()),
        said(RankedList::new(2.1, 1.3, 10., 0.5).unwrap_err()),
        said(NormalisedSoftmax::from_parts(&CLASSES, &w).unwrap().with_temperature(0.).unwrap_err()),
        said(CosFace::from_parts(&CLASSES, &w).unwrap().with_margin(-1.).unwrap_err()),
        said(ArcFace::from_parts(&CLASSES, &w).unwrap().with_margin(180.).unwrap_err()),
        said(SphereFace::from_parts(&CLASSES, &w).unwrap().with_margin(0).unwrap_err()),
        said(ProxyNca::from_parts(&CLASSES, &w).unwrap().with_scale(0.).unwrap_err()),
        said(ProxyAnchor::from_parts(&CLASSES, &w).unwrap().with_alpha(0.).unwrap_err()),
        said(SoftTriple::from_parts(&CLASSES, 1, &w).unwrap().with_gamma(0.).unwrap_err()),
    ];
    assert!(all.iter().all(|e| e.contains("but has to be")), "{all:?}");
}

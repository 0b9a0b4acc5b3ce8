//! Every kind of tuples that a miner gives with every loss: value and gradient against a naive loop over the listed tuples, or a
//! refusal by name.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs};
use npair_types::{ClassId, Labels, PairList, Purpose, Streams, Triplets, TupleKind, Tuples};

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];
const B: usize = 9;

type M = Vec<Vec<f64>>;

/// What a miner chose: pairs, and triplets.
struct Listed {
    positives: Vec<[usize; 2]>,
    negatives: Vec<[usize; 2]>,
    triplets: Vec<[usize; 3]>,
}

/// A loss over the lists, of rows `x`; what a loss takes as a constant is worked out of rows `fixed`.
type Oracle = fn(x: &M, fixed: &M, listed: &Listed) -> f64;

fn labels() -> Labels {
    Labels::new([5, 5, 2, 5, 9, 2, 5, 2, 9]).unwrap()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(p, q)| p * q).sum()
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt()
}

fn unit(x: &M) -> M {
    x.iter().map(|r| r.iter().map(|v| v / dot(r, r).sqrt()).collect()).collect()
}

fn mean(terms: &[f64]) -> f64 {
    if terms.is_empty() { 0. } else { terms.iter().sum::<f64>() / terms.len() as f64 }
}

fn mean_of_non_zero(terms: &[f64]) -> f64 {
    mean(&terms.iter().copied().filter(|&t| t > 0.).collect::<Vec<_>>())
}

impl Listed {
    fn of(pairs: &[[usize; 2]], anchor: usize) -> Vec<usize> {
        pairs.iter().filter(|p| p[0] == anchor).map(|p| p[1]).collect()
    }

    fn near(&self, anchor: usize) -> Vec<usize> {
        Self::of(&self.positives, anchor)
    }

    fn others(&self, anchor: usize) -> Vec<usize> {
        Self::of(&self.negatives, anchor)
    }

    /// Terms of the anchors for which `keep` says so of (positives, negatives).
    fn rows(&self, keep: fn(usize, usize) -> bool, term: impl Fn(usize, &[usize], &[usize]) -> f64) -> Vec<f64> {
        let rows = (0..B).map(|i| (i, self.near(i), self.others(i)));
        rows.filter(|(_, p, n)| keep(p.len(), n.len())).map(|(i, p, n)| term(i, &p, &n)).collect()
    }
}

fn both(p: usize, n: usize) -> bool {
    p > 0 && n > 0
}

fn either(p: usize, n: usize) -> bool {
    p + n > 0
}

fn sum(of: &[usize], f: impl Fn(usize) -> f64) -> f64 {
    of.iter().map(|&j| f(j)).sum()
}

/// Every (anchor, positive) against the anchor's negatives, with logits `z(anchor, other)` and `own(anchor, positive)`.
fn against(l: &Listed, z: impl Fn(usize, usize) -> f64, own: impl Fn(usize, usize) -> f64) -> f64 {
    let term = |&[i, p]: &[usize; 2]| sum(&l.others(i), |n| (z(i, n) - own(i, p)).exp()).ln_1p();
    mean(&l.positives.iter().map(term).collect::<Vec<_>>())
}

fn lifted(x: &M, l: &Listed) -> f64 {
    let u = unit(x);
    let lift = |i: usize| sum(&l.others(i), |n| (1. - far(&u[i], &u[n])).exp());
    let term = |&[i, j]: &[usize; 2]| ((lift(i) + lift(j)).ln() + far(&u[i], &u[j])).max(0.).powi(2) / 2.;
    mean(&l.positives.iter().map(term).collect::<Vec<_>>())
}

fn circle(x: &M, fixed: &M, l: &Listed) -> f64 {
    let (u, v, m, g) = (unit(x), unit(fixed), 0.4, 3.);
    let far = |i: usize, n: usize| g * (dot(&v[i], &v[n]) + m).max(0.) * (dot(&u[i], &u[n]) - m);
    let near = |i: usize, p: usize| -g * (1. + m - dot(&v[i], &v[p])).max(0.) * (dot(&u[i], &u[p]) - 1. + m);
    mean(&l.rows(both, |i, p, n| (sum(n, |n| far(i, n).exp()) * sum(p, |p| near(i, p).exp())).ln_1p()))
}

fn ranked_list(x: &M, fixed: &M, l: &Listed) -> f64 {
    let (u, v) = (unit(x), unit(fixed));
    let (a, m, t, balance) = (1.5, 0.9, 3., 0.3);
    mean(&l.rows(either, |i, p, n| {
        let d = |j: usize| far(&u[i], &u[j]);
        let near: Vec<f64> = p.iter().map(|&p| d(p) - (a - m)).filter(|&t| t > 0.).collect();
        let n: Vec<usize> = n.iter().copied().filter(|&n| d(n) < a).collect();
        let weight = |n: usize| (t * (a - far(&v[i], &v[n]))).exp();
        let others = sum(&n, |n| weight(n) * (a - d(n))) / sum(&n, weight);
        (1. - balance) * mean(&near) + if n.is_empty() { 0. } else { balance * others }
    }))
}

fn sup_con(x: &M, l: &Listed) -> f64 {
    let u = unit(x);
    mean(&l.rows(
        |p, _| p > 0,
        |i, p, n| {
            let e = |j: usize| (dot(&u[i], &u[j]) / 0.5).exp();
            let all = sum(p, e) + sum(n, e);
            -sum(p, |p| (e(p) / all).ln()) / p.len() as f64
        },
    ))
}

fn angular(x: &M, l: &Listed) -> f64 {
    let (u, t) = (unit(x), 40f64.to_radians().tan().powi(2));
    let term = |&[a, p]: &[usize; 2]| {
        let both = |n: usize| 4. * t * (dot(&u[a], &u[n]) + dot(&u[p], &u[n]));
        sum(&l.others(a), |n| (both(n) - 2. * (1. + t) * dot(&u[a], &u[p])).exp()).ln_1p()
    };
    mean(&l.positives.iter().map(term).collect::<Vec<_>>())
}

fn multi_similarity(x: &M, l: &Listed) -> f64 {
    let u = unit(x);
    let c = |i: usize, j: usize| dot(&u[i], &u[j]) - 0.5;
    l.rows(either, |i, p, n| {
        sum(p, |p| (-2. * c(i, p)).exp()).ln_1p() / 2. + sum(n, |n| (5. * c(i, n)).exp()).ln_1p() / 5.
    })
    .iter()
    .sum::<f64>()
        / B as f64
}

/// Terms of positives and of negatives.
fn hinges(x: &M, l: &Listed, near: f64, apart: f64) -> [Vec<f64>; 2] {
    let u = unit(x);
    let terms = |pairs: &[[usize; 2]], f: &dyn Fn(f64) -> f64| -> Vec<f64> {
        pairs.iter().map(|&[i, j]| f(far(&u[i], &u[j])).max(0.)).collect()
    };
    [terms(&l.positives, &|d| d - near), terms(&l.negatives, &|d| apart - d)]
}

fn triplets(l: &Listed, term: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    l.triplets.iter().map(|&[a, p, n]| term(a, p, n)).collect()
}

fn contrastive(x: &M, l: &Listed) -> f64 {
    let near = l.positives.iter().map(|&[i, j]| far(&x[i], &x[j]).powi(2));
    let apart = l.negatives.iter().map(|&[i, j]| (1.5 - far(&x[i], &x[j])).max(0.).powi(2));
    mean(&near.chain(apart).collect::<Vec<_>>())
}

/// Every loss that is a sum over tuples, mild enough for central differences, and its naive form.
#[allow(clippy::too_many_lines, reason = "a table")]
fn over_tuples() -> Vec<(Box<dyn Loss>, Oracle)> {
    let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
    let margin = |reducer| MarginLoss::from_parts(&CLASSES, &boundaries).unwrap().with_reducer(reducer);
    vec![
        (Box::new(Contrastive::new(1.5).unwrap()), |x, _, l| contrastive(x, l)),
        (Box::new(PairwiseContrastive::new(0.1, 1.4, Reducer::Mean).unwrap()), |x, _, l| {
            let [near, apart] = hinges(x, l, 0.1, 1.4);
            mean(&near) + mean(&apart)
        }),
        (Box::new(PairwiseContrastive::new(0.1, 1.4, Reducer::MeanOfNonZero).unwrap()), |x, _, l| {
            let [near, apart] = hinges(x, l, 0.1, 1.4);
            mean_of_non_zero(&near) + mean_of_non_zero(&apart)
        }),
        (Box::new(margin(Reducer::Mean)), |x, _, l| margin_loss(x, l, mean)),
        (Box::new(margin(Reducer::MeanOfNonZero)), |x, _, l| margin_loss(x, l, mean_of_non_zero)),
        (Box::new(TripletMargin::new(0.4).unwrap()), |x, _, l| {
            mean(&triplets(l, |a, p, n| (far(&x[a], &x[p]).powi(2) - far(&x[a], &x[n]).powi(2) + 0.4).max(0.)))
        }),
        (Box::new(SmoothTriplet), |x, _, l| {
            mean(&triplets(l, |a, p, n| (dot(&x[a], &x[n]) - dot(&x[a], &x[p])).exp().ln_1p()))
        }),
        (Box::new(MarginFreeTriplet), |x, _, l| {
            mean(&triplets(l, |a, p, n| (dot(&x[a], &x[n]) - dot(&x[a], &x[p])).max(0.)))
        }),
        (Box::new(BatchAllTriplet::new(0.3, Reducer::Mean).unwrap()), |x, _, l| mean(&unit_triplets(x, l))),
        (Box::new(BatchAllTriplet::new(0.3, Reducer::MeanOfNonZero).unwrap()), |x, _, l| {
            mean_of_non_zero(&unit_triplets(x, l))
        }),
        (Box::new(MultiSimilarity::new(2., 5., 0.5).unwrap()), |x, _, l| multi_similarity(x, l)),
        (Box::new(Circle::new(0.4, 3.).unwrap()), circle),
        (Box::new(RankedList::new(1.5, 0.9, 3., 0.3).unwrap()), ranked_list),
        (Box::new(LiftedStructure::new(1., 0.).unwrap()), |x, _, l| lifted(x, l)),
        (Box::new(GeneralizedLiftedStructure::new(1., 0.).unwrap()), |x, _, l| {
            let u = unit(x);
            mean(&l.rows(both, |i, p, n| {
                let d = |j: usize| far(&u[i], &u[j]);
                (sum(p, |p| d(p).exp()).ln() + sum(n, |n| (1. - d(n)).exp()).ln()).max(0.)
            }))
        }),
        (Box::new(NtXent::new(0.5).unwrap()), |x, _, l| {
            let u = unit(x);
            let z = |i: usize, j: usize| dot(&u[i], &u[j]) / 0.5;
            against(l, z, z)
        }),
        (Box::new(MultiPositiveNPair), |x, _, l| against(l, |i, j| dot(&x[i], &x[j]), |i, j| dot(&x[i], &x[j]))),
        (Box::new(TupletMargin::new(10., 3.).unwrap()), |x, _, l| {
            let u = unit(x);
            let c = |i: usize, j: usize| dot(&u[i], &u[j]);
            against(l, |i, n| 3. * c(i, n), |i, p| 3. * (c(i, p).acos() - 10f64.to_radians()).cos())
        }),
        (Box::new(SupCon::new(0.5).unwrap()), |x, _, l| sup_con(x, l)),
        (Box::new(Angular::new(40.).unwrap()), |x, _, l| angular(x, l)),
        (Box::new(NcaStyle), |x, _, l| {
            let e = |i: usize, j: usize| dot(&x[i], &x[j]).exp();
            mean(&l.rows(
                |p, _| p > 0,
                |i, p, n| {
                    let near = sum(p, |p| e(i, p));
                    -(near / (near + sum(n, |n| e(i, n)))).ln()
                },
            ))
        }),
    ]
}

fn margin_loss(x: &M, l: &Listed, reduce: fn(&[f64]) -> f64) -> f64 {
    let (u, y) = (unit(x), labels());
    let boundary = |i: usize| 1.1 + 0.1 * CLASSES.iter().position(|&c| c == y.get(i)).unwrap() as f64;
    let term = |&[i, j]: &[usize; 2], sign: f64| (0.2 + sign * (far(&u[i], &u[j]) - boundary(i))).max(0.);
    let near = l.positives.iter().map(|pair| term(pair, 1.));
    reduce(&near.chain(l.negatives.iter().map(|pair| term(pair, -1.))).collect::<Vec<_>>())
}

fn unit_triplets(x: &M, l: &Listed) -> Vec<f64> {
    let u = unit(x);
    triplets(l, |a, p, n| (far(&u[a], &u[p]) - far(&u[a], &u[n]) + 0.3).max(0.))
}

/// Lists as miners give them, and what they come to as pairs and as triplets.
fn lists() -> Vec<(&'static str, Tuples, Listed)> {
    let y = labels();
    let all = || (0..B).flat_map(|i| (0..B).map(move |j| [i, j])).filter(|[i, j]| i != j);
    let (near, apart): (Vec<_>, Vec<_>) = all().partition(|&[i, j]| y.same(i, j));
    let every = |pairs: &[[usize; 2]], nth: usize, of: usize| -> Vec<[usize; 2]> {
        pairs.iter().enumerate().filter(|(at, _)| at % of < nth).map(|(_, &pair)| pair).collect()
    };
    let pairs = |positives: Vec<[usize; 2]>, negatives: Vec<[usize; 2]>| {
        let list = PairList::new(positives.clone(), negatives.clone(), &y).unwrap();
        let triplets = positives.iter().flat_map(|&[a, p]| {
            negatives.iter().filter(move |n| n[0] == a).map(move |n| [a, p, n[1]]).collect::<Vec<_>>()
        });
        (Tuples::PairList(list), Listed { triplets: triplets.collect(), positives, negatives })
    };
    let triplets = |keep: &dyn Fn(usize) -> bool| {
        let every = near
            .iter()
            .flat_map(|&[a, p]| apart.iter().filter(move |n| n[0] == a).map(move |n| [a, p, n[1]]).collect::<Vec<_>>());
        let rows: Vec<[usize; 3]> = every.enumerate().filter(|(at, _)| keep(*at)).map(|(_, t)| t).collect();
        let once = |other: usize| {
            let mut pairs: Vec<[usize; 2]> = rows.iter().map(|t| [t[0], t[other]]).collect();
            pairs.sort_unstable();
            pairs.dedup();
            pairs
        };
        let (positives, negatives) = (once(1), once(2));
        (Tuples::Triplets(Triplets::new(&rows, &y).unwrap()), Listed { positives, negatives, triplets: rows })
    };
    [
        ("some pairs", pairs(every(&near, 2, 3), every(&apart, 2, 5))),
        ("pairs out of order", pairs(every(&near, 1, 2).into_iter().rev().collect(), every(&apart, 1, 3))),
        ("all pairs", pairs(near.clone(), apart.clone())),
        ("positives alone", pairs(every(&near, 1, 2), vec![])),
        ("negatives alone", pairs(vec![], every(&apart, 1, 4))),
        ("one pair of each", pairs(vec![near[0]], vec![apart[0]])),
        ("no pair", pairs(vec![], vec![])),
        ("some triplets", triplets(&|at| at % 7 < 2)),
        ("all triplets", triplets(&|_| true)),
        ("one triplet", triplets(&|at| at == 17)),
    ]
    .map(|(name, (tuples, listed))| (name, tuples, listed))
    .into()
}

/// The gradient of an oracle by central differences.
fn differences(x: &M, oracle: Oracle, listed: &Listed) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let at = |i: usize, k: usize, step: f64| {
        let mut moved = x.clone();
        moved[i][k] += step;
        oracle(&moved, x, listed)
    };
    let entries = (0..B).flat_map(|i| (0..x[0].len()).map(move |k| (i, k)));
    entries.map(|(i, k)| (at(i, k, STEP) - at(i, k, -STEP)) / (2. * STEP)).collect()
}

#[test]
fn every_loss_over_tuples_takes_what_any_miner_chose() {
    let x = inputs::normal(21, 0.7, (B, 4), DType::F64).unwrap();
    let rows: M = x.to_vec2().unwrap();
    let mut cells = 0;
    for (what, tuples, listed) in lists() {
        for (loss, oracle) in over_tuples() {
            let name = loss.name();
            assert!(loss.accepts().check(TupleKind::Labeled, Some(tuples.kind()), false).is_ok(), "{name}");
            let var = Var::from_tensor(&x).unwrap();
            let batch = Batch::new(&var, &labels()).unwrap().with_tuples(tuples.clone()).unwrap();
            let value = loss.forward(&batch).unwrap();
            let (got, want) = (value.to_f64().unwrap(), oracle(&rows, &rows, &listed));
            assert!((got - want).abs() <= 1e-9 * want.abs().max(1.), "{name}, {what}: {got}, not {want}");
            let grads = value.value.backward().unwrap();
            let got = grads.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let want = differences(&rows, oracle, &listed);
            let scale = want.iter().fold(1f64, |most, v| most.max(v.abs()));
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() <= gradient::TOLERANCE * scale, "{name}, {what}: {got}, not {want}");
            }
            if want.iter().all(|&v| v == 0.) {
                assert!(got.iter().all(|&v| v == 0.), "{name}, {what}");
            }
            // What has no term has no active one, and f32 says the same.
            assert!(value.active <= value.terms, "{name}, {what}");
            let single = Batch::new(&x.to_dtype(DType::F32).unwrap(), &labels()).unwrap();
            let single = loss_in_f32(&*loss, &single.with_tuples(tuples.clone()).unwrap());
            assert!((single - value.to_f64().unwrap()).abs() <= 1e-5 * single.abs().max(1.), "{name}, {what}");
            cells += 1;
        }
    }
    assert_eq!(cells, 10 * 21);
}

/// The margin loss of f64 boundaries takes f32 embeddings as well.
fn loss_in_f32(loss: &dyn Loss, batch: &Batch) -> f64 {
    loss.forward(batch).unwrap().to_f64().unwrap()
}

#[test]
fn losses_that_would_ignore_a_miner_refuse_it_by_name() {
    let (cpu, dtype) = (&Device::Cpu, DType::F64);
    let rng = &mut Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let c = &mut LossContext { classes: &CLASSES, sizes: &[], sets: None, width: 4, rng, dtype, device: cpu };
    let mixed = WeightedSum::new().and("circle", 1., Circle::default()).unwrap().and("pairs", 1., NPairMc).unwrap();
    let refusing: Vec<Box<dyn Loss>> = vec![
        Box::<FastAp>::default(),
        Box::<SmoothAp>::default(),
        Box::<Histogram>::default(),
        Box::new(BatchHardTriplet::soft()),
        Box::new(NPairMc),
        Box::new(NPairOvo),
        Box::new(SymmetricNPairMc),
        Box::new(NTuplet),
        Box::new(SigLip::new(dtype, cpu).unwrap()),
        Box::new(SoftmaxClassifier::new(c).unwrap()),
        Box::new(NormalizedSoftmax::new(c).unwrap()),
        Box::new(CosFace::new(c).unwrap()),
        Box::new(ArcFace::new(c).unwrap()),
        Box::new(SphereFace::new(c).unwrap()),
        Box::new(SubCenterArcFace::new(2, c).unwrap()),
        Box::new(ProxyNca::new(c).unwrap()),
        Box::new(ProxyAnchor::new(c).unwrap()),
        Box::new(SoftTriple::new(2, c).unwrap()),
        Box::new(mixed),
    ];
    let x = inputs::normal(21, 0.7, (B, 4), dtype).unwrap();
    for (what, tuples, _) in lists() {
        for loss in &refusing {
            let said = loss.accepts().check(TupleKind::Labeled, Some(tuples.kind()), false).unwrap_err();
            assert!(said.contains(&format!("not the {} of a miner", tuples.kind())), "{said}");
            let batch = Batch::new(&x, &labels()).unwrap().with_tuples(tuples.clone()).unwrap();
            let said = loss.forward(&batch).unwrap_err().to_string();
            assert!(said.starts_with(loss.name()) && said.contains("leave the miner out"), "{what}: {said}");
        }
    }
    // A sum of losses over tuples takes them in all its parts.
    let sum = WeightedSum::new().and("circle", 1., Circle::default()).unwrap().and("far", 1., SmoothTriplet).unwrap();
    let (_, tuples, _) = lists().swap_remove(7);
    let value = sum.forward(&Batch::new(&x, &labels()).unwrap().with_tuples(tuples).unwrap()).unwrap();
    assert_eq!(value.parts.len(), 2);
}

#[test]
fn what_a_sampler_formed_is_used_by_losses_of_such_tuples_alone() {
    let y = Labels::new([2, 5, 2, 5]).unwrap();
    let x = inputs::normal(3, 0.7, (4, 3), DType::F64).unwrap();
    let triplets = Tuples::Triplets(Triplets::new(&[[0, 2, 3]], &y).unwrap());
    let batch = Batch::new(&x, &y).unwrap();
    let sampled = batch.clone().with_sampled(triplets.clone()).unwrap();
    let value = |loss: &dyn Loss, batch: &Batch| loss.forward(batch).unwrap();
    // Circle goes by the labels; the triplet loss takes the one triplet.
    let circle = Circle::default();
    assert_eq!(value(&circle, &sampled).to_f64().unwrap(), value(&circle, &batch).to_f64().unwrap());
    assert_eq!((value(&SmoothTriplet, &sampled).terms, value(&SmoothTriplet, &batch).terms), (1, 2));
    assert_eq!(value(&NPairMc, &sampled).terms, 2);
    let chosen = batch.with_tuples(triplets).unwrap();
    assert_ne!(value(&circle, &chosen).to_f64().unwrap(), value(&circle, &sampled).to_f64().unwrap());
    let said = NTuplet.forward(&sampled).unwrap_err().to_string();
    assert!(said.contains("tuplet sampler"), "{said}");
}

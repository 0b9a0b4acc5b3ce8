//! Reducers against loops over all terms, and sums of losses.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs, reach};
use npair_types::{ClassId, Labels, Purpose, Streams};
use of_batch::OfBatch;
use proptest::prelude::*;
use std::collections::BTreeMap;

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];

fn all() -> [Reducer; 6] {
    let within = Reducer::MeanWithin(Band::new(0.2, 0.6).unwrap());
    [Reducer::Mean, Reducer::MeanOfNonZero, Reducer::Sum, Reducer::MeanPerAnchor, Reducer::MeanPerClass, within]
}

fn mean(v: &[f64]) -> f64 {
    if v.is_empty() { 0. } else { v.iter().sum::<f64>() / v.len() as f64 }
}

/// The number that terms of (anchor, hinge) are reduced to, from the definition.
fn reduced(reducer: Reducer, terms: &[(usize, f64)], y: &Labels) -> f64 {
    let of = |keep: &dyn Fn(usize) -> bool| -> Vec<f64> {
        terms.iter().filter(|t| keep(t.0)).map(|t| t.1.max(0.)).collect()
    };
    let hinged = of(&|_| true);
    let groups =
        |groups: Vec<Vec<f64>>| mean(&groups.iter().filter(|g| !g.is_empty()).map(|g| mean(g)).collect::<Vec<_>>());
    match reducer {
        Reducer::Mean => mean(&hinged),
        Reducer::MeanOfNonZero => mean(&hinged.into_iter().filter(|&t| t > 0.).collect::<Vec<_>>()),
        Reducer::Sum => hinged.iter().sum(),
        Reducer::MeanPerAnchor => groups((0..y.len()).map(|i| of(&|a| a == i)).collect()),
        Reducer::MeanPerClass => groups(y.classes().iter().map(|&c| of(&|a| y.get(a) == c)).collect()),
        Reducer::MeanWithin(_) => mean(&hinged.into_iter().filter(|&t| 0.2 < t && t < 0.6).collect::<Vec<_>>()),
    }
}

proptest! {
    #[test]
    fn reducers_equal_their_definitions(
        values in prop::collection::vec(-1.0f64..1.0, 7 * 3),
        classes in prop::collection::vec(0usize..3, 7),
    ) {
        let x = Tensor::from_vec(values, (7, 3), &Device::Cpu).unwrap();
        let y = Labels::from_ids(classes.iter().map(|&c| CLASSES[c]).collect()).unwrap();
        let rows: Vec<Vec<f64>> = x.to_vec2().unwrap();
        let unit = |r: &Vec<f64>| {
            let norm = r.iter().map(|v| v * v).sum::<f64>().sqrt();
            r.iter().map(|v| v / norm).collect::<Vec<_>>()
        };
        let far = |i: usize, j: usize| {
            unit(&rows[i]).iter().zip(unit(&rows[j])).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        let pairs: Vec<(usize, usize)> = (0..7).flat_map(|i| (0..7).map(move |j| (i, j))).filter(|(i, j)| i != j).collect();
        for reducer in all() {
            let part = |same: bool, term: &dyn Fn(usize, usize) -> f64| -> f64 {
                let of = pairs.iter().filter(|p| y.same(p.0, p.1) == same);
                reduced(reducer, &of.map(|&(i, j)| (i, term(i, j))).collect::<Vec<_>>(), &y)
            };
            let want = part(true, &|i, j| far(i, j) - 0.3) + part(false, &|i, j| 1.4 - far(i, j));
            let got = PairwiseContrastive::new(0.3, 1.4, reducer).unwrap().of_batch(&x, &y).unwrap().to_f64().unwrap();
            prop_assert!((got - want).abs() < 1e-9 * want.max(1.), "contrastive, {reducer:?}: {got} {want}");

            let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
            let term = |&(i, j): &(usize, usize)| {
                let b = 1.1 + 0.1 * classes[i] as f64;
                (i, 0.2 + if y.same(i, j) { far(i, j) - b } else { b - far(i, j) })
            };
            let want = reduced(reducer, &pairs.iter().map(term).collect::<Vec<_>>(), &y);
            let loss = MarginLoss::from_parts(&CLASSES, &boundaries).unwrap().with_reducer(reducer);
            let got = loss.of_batch(&x, &y).unwrap().to_f64().unwrap();
            prop_assert!((got - want).abs() < 1e-9 * want.max(1.), "margin, {reducer:?}: {got} {want}");

            let triplets = pairs.iter().filter(|p| y.same(p.0, p.1)).flat_map(|&(a, p)| {
                (0..7).filter(|&n| classes[n] != classes[a]).map(move |n| (a, p, n)).collect::<Vec<_>>()
            });
            let terms: Vec<(usize, f64)> = triplets.map(|(a, p, n)| (a, far(a, p) - far(a, n) + 0.3)).collect();
            if !terms.is_empty() {
                let want = reduced(reducer, &terms, &y);
                let loss = BatchAllTriplet::new(0.3, reducer).unwrap();
                let got = loss.of_batch(&x, &y).unwrap();
                prop_assert_eq!(got.terms, terms.len());
                let got = got.to_f64().unwrap();
                prop_assert!((got - want).abs() < 1e-9 * want.max(1.), "triplets, {reducer:?}: {got} {want}");

                // Of every anchor its hardest triplet.
                let mut hardest = BTreeMap::<usize, f64>::new();
                for (a, term) in terms {
                    let most = hardest.entry(a).or_insert(term);
                    *most = most.max(term);
                }
                let hardest: Vec<(usize, f64)> = hardest.into_iter().collect();
                let want = reduced(reducer, &hardest, &y);
                let loss = BatchHardTriplet::new(0.3).unwrap().with_unit_rows().with_reducer(reducer);
                let got = loss.of_batch(&x, &y).unwrap().to_f64().unwrap();
                prop_assert!((got - want).abs() < 1e-9 * want.max(1.), "batch-hard, {reducer:?}: {got} {want}");
            }
        }
    }
}

#[test]
fn gradients_of_reducers_agree_with_central_differences() {
    let y = Labels::new([5, 5, 2, 5, 9, 2, 5]).unwrap();
    let x = inputs::normal(21, 0.7, (7, 4), DType::F64).unwrap();
    let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
    let wrap = |l: npair_losses::Result<LossValue>| l.map(|l| l.value).map_err(candle_core::Error::wrap);
    for reducer in all() {
        let hard = BatchHardTriplet::new(0.3).unwrap().with_unit_rows().with_reducer(reducer);
        let losses: [(&str, Box<dyn Loss>); 3] = [
            ("batch-hard", Box::new(hard)),
            ("contrastive", Box::new(PairwiseContrastive::new(0.1, 1.2, reducer).unwrap())),
            ("triplets", Box::new(BatchAllTriplet::new(0.3, reducer).unwrap())),
        ];
        for (name, loss) in losses {
            gradient::check(std::slice::from_ref(&x), |t| wrap(loss.of_batch(&t[0], &y)))
                .unwrap_or_else(|e| panic!("{name}, {reducer:?}: {e}"));
        }
        gradient::check(&[x.clone(), boundaries.clone()], |t| {
            wrap(MarginLoss::from_parts(&CLASSES, &t[1]).and_then(|l| l.with_reducer(reducer).of_batch(&t[0], &y)))
        })
        .unwrap_or_else(|e| panic!("margin, {reducer:?}: {e}"));
    }
    for (low, high) in [(-0.1, 1.), (0.5, 0.5), (0.5, f64::NAN), (f64::NAN, 1.)] {
        assert!(Band::new(low, high).unwrap_err().to_string().contains("but has to be"), "{low}, {high}");
    }
}

#[test]
fn a_sum_has_the_values_gradients_and_variables_of_its_parts() {
    let mut rng = Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let mut proxies = || {
        ProxyAnchor::new(&mut LossContext {
            classes: &CLASSES,
            sizes: &[],
            sets: None,
            width: 4,
            rng: &mut rng,
            dtype: DType::F64,
            device: &Device::Cpu,
        })
        .unwrap()
    };
    let [first, second] = [proxies(), proxies()];
    let sum = WeightedSum::new().and("near", 2., first.clone()).unwrap();
    let sum = sum.and("far", 0.25, second.clone()).unwrap().and("pairs", 0.5, NPairMc).unwrap();
    let names: Vec<String> = sum.variables().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["near.proxies", "far.proxies"]);

    let y = Labels::new([5, 2, 5, 9, 9, 2]).unwrap();
    let x = Var::from_tensor(&inputs::normal(5, 0.7, (6, 4), DType::F64).unwrap()).unwrap();
    let value = sum.of_batch(&x, &y).unwrap();
    let parts = value.parts.clone();
    let alone = [&first as &dyn Loss, &second, &NPairMc].map(|loss| loss.of_batch(&x, &y).unwrap());
    let weights = [2., 0.25, 0.5];
    let want: f64 = alone.iter().zip(weights).map(|(v, w)| w * v.to_f64().unwrap()).sum();
    assert!((value.to_f64().unwrap() - want).abs() < 1e-14 * want);
    for ((part, alone), weight) in parts.iter().zip(&alone).zip(weights) {
        assert_eq!(part.loss.to_f64().unwrap(), alone.to_f64().unwrap(), "{}", part.name);
        assert_eq!((part.weight, part.loss.terms, part.loss.active), (weight, alone.terms, alone.active));
    }
    assert_eq!(value.terms, alone.iter().map(|v| v.terms).sum::<usize>());
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let grads = value.value.backward().unwrap();
    let mut want = vec![0.; 24];
    for (alone, weight) in alone.iter().zip(weights) {
        let grads = alone.value.backward().unwrap();
        want.iter_mut().zip(flat(grads.get(&x).unwrap())).for_each(|(w, g)| *w += weight * g);
    }
    for (got, want) in flat(grads.get(&x).unwrap()).iter().zip(want) {
        assert!((got - want).abs() < 1e-14, "{got} {want}");
    }
    let vars = sum.variables();
    let named = vars.iter().map(|(n, v)| (n.as_str(), v));
    assert_eq!(reach::dead(&value.value, named).unwrap(), Vec::<String>::new());

    // With a memory the pairs meet it, the proxies do not.
    let memory = inputs::normal(6, 0.7, (3, 4), DType::F64).unwrap();
    let batch = Batch::new(&x, &y).unwrap().with_reference(&memory, &Labels::new([2, 9, 5]).unwrap()).unwrap();
    let met = sum.forward(&batch).unwrap().parts;
    assert_eq!(met[0].loss.to_f64().unwrap(), parts[0].loss.to_f64().unwrap());
    assert!(met[2].loss.to_f64().unwrap() > parts[2].loss.to_f64().unwrap());
    assert!(sum.accepts().meets_reference());
    assert!(!WeightedSum::new().and("a", 1., first.clone()).unwrap().accepts().meets_reference());

    let said = |sum: npair_losses::Result<WeightedSum>| sum.unwrap_err().to_string();
    assert!(said(WeightedSum::new().and("a", 0., NPairMc)).contains("above 0"));
    assert!(said(WeightedSum::new().and("a", 1., NPairMc).unwrap().and("a", 1., NcaStyle)).contains("named a"));
    assert!(WeightedSum::new().of_batch(&x, &y).unwrap_err().to_string().contains("1 parts"));
}

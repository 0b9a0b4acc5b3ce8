//! Tuple miners against naive loops over all triplets, and what they do where nothing qualifies.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use npair_batch::*;
use npair_testkit::{inputs, threads};
use npair_types::{ChaCha8Rng, Labels, Measure, PairList, Purpose, Streams, TupleKind};
use proptest::prelude::*;

const SQUARED: Measure = Measure::SquaredEuclidean;

fn rng(seed: u64) -> ChaCha8Rng {
    Streams::new(seed).open(Purpose::Mining, [0, 0])
}

fn rows(mined: &Mined) -> Vec<[usize; 3]> {
    mined.as_triplets().iter().flat_map(|t| (0..t.len()).map(|i| t.rows(i))).collect()
}

/// All triplets of a batch, by three loops.
fn triplets(y: &Labels) -> Vec<[usize; 3]> {
    let b = y.len();
    let all = (0..b).flat_map(|a| (0..b).flat_map(move |p| (0..b).map(move |n| [a, p, n])));
    all.filter(|&[a, p, n]| a != p && y.same(a, p) && !y.same(a, n)).collect()
}

/// The triplets of every anchor, the `cap` with the largest score, of equals the first.
fn hardest(all: Vec<[usize; 3]>, score: impl Fn([usize; 3]) -> f64, cap: usize) -> Vec<[usize; 3]> {
    let mut kept = Vec::new();
    for a in 0..=all.iter().map(|t| t[0]).max().unwrap_or(0) {
        let mut of: Vec<[usize; 3]> = all.iter().copied().filter(|t| t[0] == a).collect();
        of.sort_by(|&s, &t| score(t).total_cmp(&score(s)).then(s.cmp(&t)));
        of.truncate(cap);
        of.sort_unstable();
        kept.extend(of);
    }
    kept
}

/// Anchors without a triplet.
fn without(rows: &[[usize; 3]], b: usize) -> usize {
    (0..b).filter(|&a| rows.iter().all(|t| t[0] != a)).count()
}

fn check(mined: Mined, want: Vec<[usize; 3]>, b: usize) {
    assert_eq!(mined.without, without(&want, b));
    assert_eq!(rows(&mined), want);
}

/// Embeddings of small whole numbers: squares and products are exact in f32, so ties are true ties.
fn batch() -> impl Strategy<Value = (Vec<Vec<i8>>, Vec<u32>)> {
    (1usize..4, 1usize..16).prop_flat_map(|(d, b)| {
        let x = proptest::collection::vec(proptest::collection::vec(-3i8..=3, d), b);
        (x, proptest::collection::vec(0u32..5, b))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn miners_equal_loops_over_all_triplets((x, classes) in batch(), cap in 1usize..6, margin in 0u8..12, wide: bool) {
        let (b, d) = (x.len(), x[0].len());
        let y = Labels::new(classes).unwrap();
        let flat: Vec<f32> = x.iter().flatten().map(|&v| f32::from(v)).collect();
        let dtype = if wide { DType::F64 } else { DType::F32 };
        let t = Tensor::from_vec(flat, (b, d), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let s = |i: usize, j: usize| -> f64 {
            -x[i].iter().zip(&x[j]).map(|(p, q)| (f64::from(*p) - f64::from(*q)).powi(2)).sum::<f64>()
        };
        let all = triplets(&y);
        let hardness = |[a, p, n]: [usize; 3]| s(a, n) - s(a, p);
        let mine = |miner: &dyn TupleMiner| miner.mine(&t, &y, &mut rng(1)).unwrap();
        // Of the triplets of an anchor the one that comes first: larger is better, then the smaller index.
        let pick = |score: &dyn Fn([usize; 3]) -> (f64, f64), from: &[[usize; 3]]| -> Vec<[usize; 3]> {
            let of = |a: usize| {
                let mut of: Vec<_> = from.iter().copied().filter(|t| t[0] == a).collect();
                of.sort_by(|&s, &t| score(t).partial_cmp(&score(s)).unwrap().then(s.cmp(&t)));
                of.first().copied()
            };
            (0..b).filter_map(of).collect()
        };

        check(mine(&BatchHard { measure: SQUARED }), pick(&|[a, p, n]| (-s(a, p), s(a, n)), &all), b);
        check(mine(&Hardest::new(cap, SQUARED).unwrap()), hardest(all.clone(), hardness, cap), b);
        check(mine(&Hardest::new(1, SQUARED).unwrap()), rows(&mine(&BatchHard { measure: SQUARED })), b);

        // Of every pair the nearest of the negatives beyond the positive.
        let beyond: Vec<[usize; 3]> = all.iter().copied().filter(|&[a, p, n]| s(a, n) < s(a, p)).collect();
        let first = |&[a, p, n]: &[usize; 3]| {
            beyond.iter().all(|&[c, q, k]| (a, p) != (c, q) || s(a, k) < s(a, n) || s(a, k) == s(a, n) && n <= k)
        };
        let margin = f64::from(margin);
        let semi: Vec<[usize; 3]> = beyond.iter().copied().filter(first).filter(|&t| hardness(t) > -margin).collect();
        check(mine(&SemiHard::new(margin, SQUARED, cap).unwrap()), hardest(semi, hardness, cap), b);

        let easy = |negative| mine(&EasyPositive { negative, measure: SQUARED });
        check(easy(Negative::Hard), pick(&|[a, p, n]| (s(a, p), s(a, n)), &all), b);
        check(easy(Negative::Easy), pick(&|[a, p, n]| (s(a, p), -s(a, n)), &all), b);
        // The positive is chosen first: an anchor with no negative beyond it has none.
        let nearest = pick(&|[a, p, _]| (s(a, p), 0.), &all);
        let with: Vec<[usize; 3]> =
            beyond.iter().copied().filter(|t| nearest.iter().any(|m| m[..2] == t[..2])).collect();
        check(easy(Negative::SemiHard), pick(&|[a, _, n]| (s(a, n), 0.), &with), b);

        check(mine(&AllTriplets::new(10_000).unwrap()), all.clone(), b);
        let some = rows(&mine(&AllTriplets::new(cap).unwrap()));
        prop_assert!(some.iter().all(|t| all.contains(t)) && some.windows(2).all(|w| w[0] < w[1]));
        prop_assert_eq!(some.len(), (0..b).map(|a| all.iter().filter(|t| t[0] == a).count().min(cap)).sum::<usize>());
    }

    #[test]
    fn miners_on_the_sphere_equal_loops(b in 1usize..14, d in 1usize..5, cap in 1usize..40, seed in 0u64..1000) {
        let x = inputs::normal(seed, 1., (b, d), DType::F64).unwrap();
        let y = Labels::new((0..b).map(|i| (i * i % 5) as u32)).unwrap();
        let v = x.to_vec2::<f64>().unwrap();
        let unit = |i: usize| -> Vec<f64> {
            let length = v[i].iter().map(|q| q * q).sum::<f64>().sqrt();
            v[i].iter().map(|q| q / length).collect()
        };
        let c = |i: usize, j: usize| unit(i).iter().zip(unit(j)).map(|(p, q)| p * q).sum::<f64>();
        let own = |i: usize| (0..b).filter(|&j| j != i && y.same(i, j)).collect::<Vec<_>>();
        let others = |i: usize| (0..b).filter(|&j| !y.same(i, j)).collect::<Vec<_>>();

        let mined = MultiSimilarityMiner::new(0.1, 100).unwrap().mine(&x, &y, &mut rng(1)).unwrap();
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        // One number per row has two cosines, 1 and -1 to a rounding: nothing is at a bound.
        for i in (0..b).filter(|&i| !own(i).is_empty() && !others(i).is_empty()) {
            let far = own(i).into_iter().map(|p| c(i, p)).fold(f64::INFINITY, f64::min);
            let near = others(i).into_iter().map(|n| c(i, n)).fold(f64::NEG_INFINITY, f64::max);
            positives.extend(own(i).into_iter().filter(|&p| c(i, p) < near + 0.1).map(|p| [i, p]));
            negatives.extend(others(i).into_iter().filter(|&n| c(i, n) > far - 0.1).map(|n| [i, n]));
        }
        let listed = |mined: &Mined| mined.as_pairs().cloned().unwrap_or_default();
        prop_assert_eq!(listed(&mined), PairList::new(positives, negatives, &y).unwrap());
        let few = MultiSimilarityMiner::new(0.1, 1).unwrap().mine(&x, &y, &mut rng(1)).unwrap();
        prop_assert!(listed(&few).positives().windows(2).all(|w| w[0][0] < w[1][0]));
        prop_assert_eq!(few.without, mined.without);

        // By the definition: from the points themselves, not from their cosines. Rounding decides at the bound alone, and
        // among equal angles, which a line has.
        if d > 1 {
            let angle = |[a, p, n]: [usize; 3]| {
                let (a, p, n) = (unit(a), unit(p), unit(n));
                let apart: f64 = a.iter().zip(&p).map(|(a, p)| (a - p).powi(2)).sum();
                let beside: f64 = n.iter().zip(a.iter().zip(&p)).map(|(n, (a, p))| (n - (a + p) / 2.).powi(2)).sum();
                (apart.sqrt() / (2. * beside.sqrt())).atan().to_degrees()
            };
            let wide: Vec<[usize; 3]> = triplets(&y).into_iter().filter(|&t| angle(t) > 37.).collect();
            check(AngularMiner::new(37., 10_000).unwrap().mine(&x, &y, &mut rng(1)).unwrap(), wide.clone(), b);
            // A pair is met from both its ends at one angle, but under one anchor every angle is its own.
            let capped = AngularMiner::new(37., cap).unwrap().mine(&x, &y, &mut rng(1)).unwrap();
            check(capped, hardest(wide, angle, cap), b);
        }
    }
}

#[test]
fn distance_weighted_draws_as_often_as_the_weights_say() {
    // Anchor 0 at angle 0, its positive beside it, three negatives in four dimensions; one of them too far, one too near.
    let at = |angle: f32| [angle.cos(), angle.sin(), 0., 0.];
    let x = [at(0.), at(0.05), at(0.2), at(0.9), at(1.3), at(3.)].concat();
    let x = Tensor::from_vec(x, (6, 4), &Device::Cpu).unwrap();
    let y = Labels::new([1, 1, 2, 3, 4, 5]).unwrap();
    let miner = DistanceWeighted::new(0.5, 1.4, 10).unwrap();
    let mut counts = [0f64; 6];
    let trials = 4000;
    let mut rng = rng(7);
    for _ in 0..trials {
        let mined = miner.mine(&x, &y, &mut rng).unwrap();
        counts[rows(&mined)[0][2]] += 1.;
        assert_eq!(mined.without, 4);
    }
    let weight = |angle: f64| {
        let d = (2. * (angle / 2.).sin()).max(0.5);
        1. / (d.powi(2) * (1. - d * d / 4.).sqrt())
    };
    let weights = [0., 0., weight(0.2), weight(0.9), weight(1.3), 0.];
    let all: f64 = weights.iter().sum();
    for (n, weight) in weights.into_iter().enumerate() {
        let p = weight / all;
        // Five standard deviations of a binomial count.
        let off = 5. * (f64::from(trials) * p * (1. - p)).sqrt();
        assert!((counts[n] - f64::from(trials) * p).abs() <= off, "{n}: {counts:?}");
    }
}

#[test]
fn hard_inputs_give_no_nan_and_the_same_tuples_on_any_number_of_threads() {
    let miners: Vec<(&str, Box<dyn TupleMiner>)> = vec![
        ("all", Box::new(AllTriplets::new(5).unwrap())),
        ("batch-hard", Box::<BatchHard>::default()),
        ("hardest", Box::new(Hardest::new(3, SQUARED).unwrap())),
        ("semi-hard", Box::new(SemiHard::new(0.2, Measure::Cosine, 3).unwrap())),
        ("easy-positive", Box::<EasyPositive>::default()),
        ("distance-weighted", Box::new(DistanceWeighted::new(0.5, 1.4, 3).unwrap())),
        ("angular", Box::new(AngularMiner::new(30., 4).unwrap())),
    ];
    let pairs = MultiSimilarityMiner::new(0.1, 4).unwrap();
    let x = inputs::normal(3, 1., (150, 6), DType::F32).unwrap();
    let y = Labels::new((0..150).map(|i| i % 11)).unwrap();
    for (name, miner) in &miners {
        let all = threads::with_threads(&[1, 2, 5], || miner.mine(&x, &y, &mut rng(5)).unwrap());
        assert!(all[0] == all[1] && all[0] == all[2] && !all[0].is_empty(), "{name}");
        let of = |a: usize| rows(&all[0]).iter().filter(|t| t[0] == a).count();
        assert!((0..150).all(|a| of(a) <= 5 * 4), "{name}");

        let mined = |x: &Tensor, y: &[u32]| miner.mine(x, &Labels::new(y.iter().copied()).unwrap(), &mut rng(5));
        // One class, all classes of one row, one row: nothing qualifies, and that is counted.
        for y in [[1, 1, 1, 1], [1, 2, 3, 4]] {
            let none = mined(&x.narrow(0, 0, 4).unwrap(), &y).unwrap();
            assert_eq!((none.tuples, none.without), (None, 4), "{name}");
        }
        assert_eq!(mined(&x.narrow(0, 0, 1).unwrap(), &[1]).unwrap().without, 1, "{name}");
        // Equal rows, zero rows, opposite rows, in few and in many dimensions.
        for width in [1, 2, 512] {
            for scale in [[0., 0., 0., 0.], [1., 1., 1., 1.], [1., -1., -1., 0.], [1., -1., 1., -1.]] {
                let rows: Vec<f32> = scale.iter().flat_map(|&s| vec![s; width]).collect();
                let x = Tensor::from_vec(rows, (4, width), &Device::Cpu).unwrap();
                let some = mined(&x, &[1, 1, 2, 2]).unwrap();
                assert!(some.len() + some.without >= 4, "{name}");
            }
        }
        let said = |x: &Tensor, y: &[u32]| mined(x, y).unwrap_err().to_string();
        assert!(said(&x, &[1, 2]).contains("2 entries, but 150"), "{name}");
        assert!(said(&Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap(), &[1]).contains("a matrix (B, D)"), "{name}");
        if *name != "all" {
            let bad = Tensor::new(&[[1f32], [f32::NAN]], &Device::Cpu).unwrap();
            assert!(said(&bad, &[1, 1]).contains("row 1 of the embeddings is not finite"), "{name}");
        }
    }
    let large = Tensor::new(&[[3e30f32], [-3e30]], &Device::Cpu).unwrap();
    let said = BatchHard { measure: SQUARED }.mine(&large, &Labels::new([1, 1]).unwrap(), &mut rng(1));
    assert!(said.unwrap_err().to_string().contains("overflows"));
    let all = threads::with_threads(&[1, 2, 5], || pairs.mine(&x, &y, &mut rng(5)).unwrap());
    assert!(all[0] == all[1] && all[0] == all[2] && !all[0].as_pairs().unwrap().positives().is_empty());
    let one = pairs.mine(&x.narrow(0, 0, 3).unwrap(), &Labels::new([1, 1, 1]).unwrap(), &mut rng(1)).unwrap();
    assert!(one.tuples.is_none() && one.without == 3);
}

#[test]
fn settings_out_of_range_are_named() {
    let said = [
        AllTriplets::new(0).unwrap_err(),
        Hardest::new(0, SQUARED).unwrap_err(),
        SemiHard::new(-1., SQUARED, 1).unwrap_err(),
        SemiHard::new(f64::NAN, SQUARED, 1).unwrap_err(),
        MultiSimilarityMiner::new(-0.1, 1).unwrap_err(),
        DistanceWeighted::new(1.5, 1.4, 1).unwrap_err(),
        DistanceWeighted::new(0.5, 2.1, 1).unwrap_err(),
        AngularMiner::new(90., 1).unwrap_err(),
    ];
    assert!(said.iter().all(|e| e.to_string().contains("but has to be")), "{said:?}");
}

#[test]
fn miners_are_built_of_their_settings_and_read_what_losses_read() {
    fn check<S: TupleMinerSettings + serde::de::DeserializeOwned>(given: serde_json::Value, name: &str) {
        let settings: S = serde_json::from_value(given).unwrap();
        let miner = settings.build().unwrap();
        assert_eq!(miner.name(), name);
        assert!(serde_json::from_value::<S>(serde_json::json!({"nothing": 1})).is_err(), "{name}");
        let kind = if name == "multi-similarity miner" { TupleKind::PairList } else { TupleKind::Triplets };
        let x = inputs::normal(3, 1., (12, 4), DType::F32).unwrap();
        let y = Labels::new((0..12).map(|i| i % 4)).unwrap();
        let mined = miner.mine(&x, &y, &mut rng(1)).unwrap();
        assert_eq!((miner.kind(), mined.tuples.as_ref().unwrap().kind()), (kind, kind));
        assert!(!mined.is_empty() && mined.tuples.as_ref().unwrap().check(&y).is_ok(), "{name}");
        // 16 bits are read as f32, views as they are, whole numbers not at all.
        let short = x.to_dtype(DType::BF16).unwrap();
        let same = miner.mine(&short.to_dtype(DType::F32).unwrap(), &y, &mut rng(1)).unwrap();
        assert_eq!(miner.mine(&short, &y, &mut rng(1)).unwrap(), same, "{name}");
        let view = x.t().unwrap().contiguous().unwrap();
        assert_eq!(miner.mine(&view.t().unwrap(), &y, &mut rng(1)).unwrap(), mined, "{name}");
        let said = miner.mine(&Tensor::ones((12, 4), DType::U32, &Device::Cpu).unwrap(), &y, &mut rng(1)).unwrap_err();
        assert!(said.to_string().contains("of type U32"), "{name}: {said}");
    }
    use serde_json::json;
    check::<AllTripletsSettings>(json!({"per_anchor": 3}), "all triplets");
    check::<BatchHardSettings>(json!({"measure": "cosine"}), "batch-hard miner");
    check::<HardestSettings>(json!({}), "miner of the hardest triplets");
    check::<SemiHardSettings>(json!({"margin": 5.0}), "semi-hard miner");
    check::<EasyPositiveSettings>(json!({"negative": "hard"}), "easy-positive miner");
    check::<DistanceWeightedSettings>(json!({"farthest": 1.9}), "distance-weighted miner");
    check::<AngularMinerSettings>(json!({}), "angular miner");
    check::<MultiSimilarityMinerSettings>(json!({}), "multi-similarity miner");
}

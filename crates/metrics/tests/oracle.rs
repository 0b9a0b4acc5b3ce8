//! Scores against naive counting.
#![allow(clippy::unwrap_used)]

use npair_metrics::*;
use npair_testkit::threads;
use npair_types::{ChaCha8Rng, Labels, Measure, Purpose, Streams};
use proptest::prelude::*;

fn rng(seed: u64) -> ChaCha8Rng {
    Streams::new(seed).open(Purpose::Evaluation, [0, 0])
}

/// A labeled set of small whole numbers, so that ties are common and exact.
fn sets() -> impl Strategy<Value = (Vec<f64>, usize, Vec<u32>)> {
    (2usize..60, 1usize..4, 1u32..9).prop_flat_map(|(n, d, classes)| {
        let values = proptest::collection::vec((-3i8..=3).prop_map(f64::from), n * d);
        (values, Just(d), proptest::collection::vec((0..classes).prop_map(|c| c * 3 + 1), n))
    })
}

fn far2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn retrieval_and_knn_equal_sorting((x, d, y) in sets(), k in 1usize..12) {
        let n = y.len();
        let set = Embeddings::new(&x, d, Labels::new(y.iter().copied()).unwrap()).unwrap();
        let search = Search::within(&set, Measure::SquaredEuclidean);
        let row = |i: usize| &x[i * d..(i + 1) * d];
        let order = |i: usize| -> Vec<usize> {
            let mut o: Vec<usize> = (0..n).filter(|&j| j != i).collect();
            o.sort_by(|&a, &b| far2(row(i), row(a)).total_cmp(&far2(row(i), row(b))));
            o
        };
        let k = k.min(n - 1);
        let positives = |i: usize| (0..n).filter(|&j| j != i && y[j] == y[i]).count();
        let scored: Vec<usize> = (0..n).filter(|&i| positives(i) > 0).collect();
        let mean = |f: &dyn Fn(usize) -> f64| scored.iter().map(|&i| f(i)).sum::<f64>() / scored.len() as f64;
        let got = retrieval(&search, &[1, k]);
        if scored.is_empty() {
            prop_assert!(matches!(got, Err(Error::NoPositive { .. })), "{:?}", got);
        } else {
            let got = got.unwrap();
            let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
            let hit = |i: usize, k: usize| order(i)[..k].iter().filter(|&&j| y[j] == y[i]).count();
            prop_assert!(close(got.recall_at[1].1.value, mean(&|i| f64::from(u8::from(hit(i, k) > 0)))));
            prop_assert!(close(got.precision_at_1.value, mean(&|i| hit(i, 1) as f64)));
            prop_assert!(close(got.r_precision.value, mean(&|i| hit(i, positives(i)) as f64 / positives(i) as f64)));
            let map = |i: usize| {
                let r = positives(i);
                (1..=r).filter(|&at| y[order(i)[at - 1]] == y[i]).map(|at| hit(i, at) as f64 / at as f64).sum::<f64>() / r as f64
            };
            prop_assert!(close(got.map_at_r.value, mean(&map)));
            prop_assert!(close(got.mrr.value, mean(&|i| 1. / (1 + order(i).iter().position(|&j| y[j] == y[i]).unwrap()) as f64)));
            prop_assert_eq!((got.queries, got.queries_without_a_positive), (scored.len(), n - scored.len()));
        }
        let vote = |i: usize| {
            let near: Vec<u32> = order(i)[..k].iter().map(|&j| y[j]).collect();
            let count = |c: u32| near.iter().filter(|&&v| v == c).count();
            let most = near.iter().map(|&c| count(c)).max().unwrap();
            *near.iter().find(|&&c| count(c) == most).unwrap()
        };
        let want = (0..n).filter(|&i| vote(i) == y[i]).count() as f64 / n as f64;
        prop_assert!((knn_accuracy(&search, k).unwrap().value - want).abs() < 1e-12);
    }

    #[test]
    fn pairwise_scores_equal_counting_pairs((x, d, y) in sets(), clusters in 1usize..6, seed: u64) {
        let n = y.len();
        let labels = Labels::new(y.iter().copied()).unwrap();
        let set = Embeddings::new(&x, d, labels.clone()).unwrap();
        let assignment: Vec<usize> = (0..n).map(|i| (i * 7 + seed as usize % 5) % clusters * 10).collect();
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
        let count = |f: &dyn Fn(usize, usize) -> bool| pairs.iter().filter(|&&(i, j)| f(i, j)).count() as f64;
        let tp = count(&|i, j| assignment[i] == assignment[j] && y[i] == y[j]);
        let (together, wanted) = (count(&|i, j| assignment[i] == assignment[j]), count(&|i, j| y[i] == y[j]));
        let (p, r) = (tp / together, tp / wanted);
        let want = if tp == 0. { 0. } else { 2. * p * r / (p + r) };
        let c = Clustering::new(&labels, &assignment).unwrap();
        prop_assert!((c.f1() - want).abs() < 1e-12);
        for score in [c.nmi(), c.nmi_geometric(), c.purity(), c.f1()] {
            prop_assert!((0. ..=1. + 1e-12).contains(&score), "{}", score);
        }
        let own: Vec<usize> = y.iter().map(|&c| c as usize).collect();
        let perfect = Clustering::new(&labels, &own).unwrap();
        prop_assert!((perfect.nmi() - 1.).abs() < 1e-12 && (perfect.ami() - 1.).abs() < 1e-9 && perfect.purity() == 1.);

        // AUC is the share of ordered pairs of pairs.
        let near = |&(i, j): &(usize, usize)| -far2(&x[i * d..(i + 1) * d], &x[j * d..(j + 1) * d]);
        let same: Vec<f64> = pairs.iter().filter(|&&(i, j)| y[i] == y[j]).map(near).collect();
        let other: Vec<f64> = pairs.iter().filter(|&&(i, j)| y[i] != y[j]).map(near).collect();
        match Roc::of_pairs(&set, Measure::SquaredEuclidean, usize::MAX, &mut rng(seed)) {
            Err(Error::OneKindOfPair { .. }) => prop_assert!(same.is_empty() || other.is_empty()),
            Err(e) => panic!("{e}"),
            Ok(roc) => {
                let wins: f64 = same.iter().flat_map(|s| other.iter().map(move |o| if s > o { 1. } else if s == o { 0.5 } else { 0. })).sum();
                prop_assert!((roc.auc() - wins / (same.len() * other.len()) as f64).abs() < 1e-12);
                for far in [0., 0.1, 0.5] {
                    let t = roc.threshold_at_far(far);
                    let rate = |s: &[f64]| s.iter().filter(|&&v| v >= t).count() as f64 / s.len() as f64;
                    prop_assert!(rate(&other) <= far);
                    prop_assert!((rate(&same) - roc.tar_at_far(far)).abs() < 1e-12);
                    // The next lower score would accept too many.
                    let lower = same.iter().chain(&other).copied().filter(|&s| s < t).fold(f64::NEG_INFINITY, f64::max);
                    if lower.is_finite() {
                        prop_assert!(other.iter().filter(|&&v| v >= lower).count() as f64 / other.len() as f64 > far);
                    }
                }
            }
        }
    }

    #[test]
    fn k_means_never_rises_and_ends_where_no_row_would_move((x, d, y) in sets(), k in 1usize..8, seed: u64, plus: bool) {
        let set = Embeddings::new(&x, d, Labels::new(y).unwrap()).unwrap();
        let k = k.min(set.len());
        let start = if plus { Start::PlusPlus } else { Start::RandomPoints };
        let mut last = f64::INFINITY;
        for rounds in [1, 2, 3, 1000] {
            let found = KMeans { clusters: k, start, rounds }.run(&set, &mut rng(seed)).unwrap();
            // An emptied centre falls to zero, which may raise the sum: only then.
            let filled = { let mut a = found.assignment.clone(); a.sort_unstable(); a.dedup(); a.len() };
            prop_assert!(found.sse <= last + 1e-9 * last.min(1e9) || filled < k);
            last = found.sse;
        }
    }
}

#[test]
fn vrf_of_noise_is_chance_and_of_ties_is_failure() {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1u32 << 24) - 0.5
    };
    let x: Vec<f64> = (0..300 * 8).map(|_| noise()).collect();
    let y = Labels::new((0..300).map(|i| i / 3)).unwrap();
    let set = Embeddings::new(&x, 8, y.clone()).unwrap();
    for k in [1, 9] {
        let got = vrf(&set, Measure::Cosine, k, 20, &mut rng(3)).unwrap();
        let chance = 1. / (k as f64 + 1.);
        assert_eq!(got.count, 6000);
        // 300 queries that share examples: five times the error of 300 independent trials.
        assert!((got.value - chance).abs() < 5. * (chance * (1. - chance) / 300.).sqrt(), "{got:?}");
    }
    let equal = Embeddings::new(&vec![1f64; 300], 1, y).unwrap();
    assert_eq!(vrf(&equal, Measure::Cosine, 1, 2, &mut rng(3)).unwrap().value, 0.);
}

#[test]
fn k_means_finds_separate_groups() {
    let x: Vec<f64> = (0..60).map(|i| f64::from(i % 3) * 100. + f64::from(i) / 60.).collect();
    let y = Labels::new((0..60).map(|i| i % 3)).unwrap();
    let set = Embeddings::new(&x, 1, y.clone()).unwrap();
    let found = KMeans { start: Start::PlusPlus, ..KMeans::new(3) }.run(&set, &mut rng(5)).unwrap();
    assert_eq!(Clustering::new(&y, &found.assignment).unwrap().nmi(), 1.);
}

#[test]
fn the_same_with_one_and_two_threads() {
    let x: Vec<f64> = (0..500 * 8).map(|i| ((i * 7919 % 1013) as f64).sin()).collect();
    let y = Labels::new((0..500).map(|i| i % 40)).unwrap();
    let set = Embeddings::new(&x, 8, y).unwrap();
    let all = threads::with_threads(&[1, 2], || {
        let scores = retrieval(&Search::within(&set, Measure::Cosine), &[1, 10]).unwrap();
        (scores, KMeans::new(40).run(&set, &mut rng(1)).unwrap())
    });
    assert_eq!(all[0], all[1]);
}

#[test]
fn what_is_undefined_is_said() {
    let set = Embeddings::new(&[0f64, 1., 2.], 1, Labels::new([1, 2, 3]).unwrap()).unwrap();
    let search = Search::within(&set, Measure::Cosine);
    assert!(retrieval(&search, &[3]).unwrap_err().to_string().contains("from 1 to 2"));
    assert!(retrieval(&search, &[1]).unwrap_err().to_string().contains("none of the 3 queries"));
    assert!(vrf(&set, Measure::Cosine, 3, 1, &mut rng(0)).unwrap_err().to_string().contains("from 1 to 2"));
    assert!(vrf(&set, Measure::Cosine, 1, 1, &mut rng(0)).unwrap_err().to_string().contains("none of the 3"));
    assert!(KMeans::new(4).run(&set, &mut rng(0)).unwrap_err().to_string().contains("from 1 to 3"));
    assert!(Roc::new(&[1., f64::NAN], &[true, false]).unwrap_err().to_string().contains("score 1"));
    assert!(Roc::new(&[1., 2.], &[true, true]).unwrap_err().to_string().contains("both kinds"));
    assert!(
        Embeddings::new(&[1f32, f32::INFINITY], 1, Labels::new([1, 1]).unwrap())
            .unwrap_err()
            .to_string()
            .contains("row 1")
    );
}

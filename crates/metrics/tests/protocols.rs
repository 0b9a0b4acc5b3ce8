//! Identification, verification over folds, centroids, ignored groups and diagnostics against naive counting.
#![allow(clippy::unwrap_used)]

use npair_metrics::*;
use npair_types::{ExampleId, Labels, Measure, Purpose, Streams};
use proptest::prelude::*;

const MEASURE: Measure = Measure::SquaredEuclidean;

/// A labeled set of small whole numbers, so that ties are common and exact, with a group for each row.
fn sets() -> impl Strategy<Value = (Vec<f64>, usize, Vec<u32>, Vec<ExampleId>)> {
    (2usize..50, 1usize..4, 1u32..9).prop_flat_map(|(n, d, classes)| {
        let values = proptest::collection::vec((-3i8..=3).prop_map(f64::from), n * d);
        let groups = proptest::collection::vec((0usize..6).prop_map(ExampleId), n);
        (values, Just(d), proptest::collection::vec((0..classes).prop_map(|c| c * 3 + 1), n), groups)
    })
}

fn near(x: &[f64], d: usize, i: usize, j: usize) -> f64 {
    -x[i * d..][..d].iter().zip(&x[j * d..][..d]).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}

fn share(hits: impl Iterator<Item = bool>) -> f64 {
    let all: Vec<bool> = hits.collect();
    all.iter().filter(|&&h| h).count() as f64 / all.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn rankings_without_ignored_groups_equal_sorting((x, d, y, groups) in sets(), k in 1usize..8, grouped: bool) {
        let n = y.len();
        let set = Embeddings::new(&x, d, Labels::new(y.iter().copied()).unwrap()).unwrap();
        let search = if grouped {
            Search::ignoring(&set, &set, MEASURE, &groups, &groups).unwrap()
        } else {
            Search::within(&set, MEASURE)
        };
        let order = |i: usize| -> Vec<usize> {
            let mut o: Vec<usize> = (0..n).filter(|&j| if grouped { groups[i] != groups[j] } else { i != j }).collect();
            o.sort_by(|&a, &b| near(&x, d, i, b).total_cmp(&near(&x, d, i, a)));
            o
        };
        let own = |i: usize, j: usize| y[i] == y[j];
        let scored: Vec<usize> = (0..n).filter(|&i| order(i).iter().any(|&j| own(i, j))).collect();
        let most = (0..n).map(|i| order(i).len()).min().unwrap();
        let got = query_scores(&search, &[k]);
        if k > most {
            prop_assert!(matches!(got, Err(Error::Setting { .. })), "{:?}", got);
            return Ok(());
        }
        if scored.is_empty() {
            prop_assert!(matches!(got, Err(Error::NoPositive { .. })), "{:?}", got);
            return Ok(());
        }
        let got = got.unwrap();
        prop_assert_eq!(got.iter().map(|q| q.query).collect::<Vec<_>>(), scored.clone());
        for q in &got {
            let hits: Vec<bool> = order(q.query).iter().map(|&j| own(q.query, j)).collect();
            let r = hits.iter().filter(|&&h| h).count();
            let precision = |upto: usize| hits[..upto].iter().filter(|&&h| h).count() as f64 / upto as f64;
            let ap = |upto: usize| (1..=upto).filter(|&at| hits[at - 1]).map(precision).sum::<f64>() / r as f64;
            let gain = |at: usize| 1. / ((at + 1) as f64).log2();
            let ndcg = (1..=k).filter(|&at| hits[at - 1]).map(gain).sum::<f64>() / (1..=k.min(r)).map(gain).sum::<f64>();
            prop_assert_eq!((q.positives, q.hits_at[0]), (r, hits[..k].iter().filter(|&&h| h).count()));
            prop_assert_eq!(q.first, hits.iter().position(|&h| h).unwrap() + 1);
            for (got, want) in [(q.ap, ap(hits.len())), (q.ap_at_r, ap(r)), (q.r_precision, precision(r)), (q.ndcg_at[0], ndcg)] {
                prop_assert!((got - want).abs() < 1e-12, "{got} {want}");
            }
        }
        let all = retrieval(&search, &[k]).unwrap();
        let mean = |f: &dyn Fn(&QueryScores) -> f64| got.iter().map(f).sum::<f64>() / got.len() as f64;
        prop_assert!((all.map.value - mean(&|q| q.ap)).abs() < 1e-12);
        prop_assert!((all.precision_at[0].1.value - mean(&|q| q.hits_at[0] as f64) / k as f64).abs() < 1e-12);
        let by_class = retrieval_by_class(&search, &[k]).unwrap();
        prop_assert_eq!(by_class.values().map(|r| r.queries).sum::<usize>(), scored.len());
        let weighed: f64 = by_class.values().map(|r| r.map.value * r.queries as f64).sum();
        prop_assert!((weighed / scored.len() as f64 - all.map.value).abs() < 1e-12);
    }

    #[test]
    fn identification_equals_looking_at_every_image(
        (x, d, y, _) in sets(), split in 1usize..40, k in 1usize..5, far in 0f64..=1.,
    ) {
        let split = split.min(y.len() - 1);
        let part = |from: usize, to: usize| {
            Embeddings::new(&x[from * d..to * d], d, Labels::new(y[from..to].iter().copied()).unwrap()).unwrap()
        };
        let (gallery, probes) = (part(0, split), part(split, y.len()));
        // (score of the best identity, identities that score as much as the own one or more, score of the own one)
        let looked: Vec<(f64, Option<(usize, f64)>)> = (split..y.len()).map(|i| {
            let best = |class: u32| (0..split).filter(|&j| y[j] == class).map(|j| near(&x, d, i, j)).fold(f64::NEG_INFINITY, f64::max);
            let mut classes = y[..split].to_vec();
            classes.sort_unstable();
            classes.dedup();
            let own = classes.contains(&y[i]).then(|| {
                (classes.iter().filter(|&&c| best(c) >= best(y[i])).count(), best(y[i]))
            });
            (classes.iter().map(|&c| best(c)).fold(f64::NEG_INFINITY, f64::max), own)
        }).collect();
        let genuine: Vec<(usize, f64)> = looked.iter().filter_map(|l| l.1).collect();
        let mut impostors: Vec<f64> = looked.iter().filter(|l| l.1.is_none()).map(|l| l.0).collect();
        impostors.sort_by(|a, b| b.total_cmp(a));
        let got = identification(&Search::between(&probes, &gallery, MEASURE), &[k], &[far]);
        match got {
            Err(Error::NoImpostor { .. }) => prop_assert!(impostors.is_empty()),
            Err(Error::NoPositive { .. }) => prop_assert!(genuine.is_empty()),
            Err(e) => panic!("{e}"),
            Ok(got) => {
                prop_assert_eq!((got.genuine, got.impostors), (genuine.len(), impostors.len()));
                prop_assert!((got.rank_at[0].1.value - share(genuine.iter().map(|g| g.0 <= k))).abs() < 1e-12);
                let open = got.open_set[0];
                // As many impostors as were asked for, or more where they tie.
                let asked = (far * impostors.len() as f64).round() as usize;
                let accepted = impostors.iter().filter(|&&s| s >= open.threshold).count();
                prop_assert!((open.measured_far - accepted as f64 / impostors.len() as f64).abs() < 1e-12);
                prop_assert!(accepted >= asked);
                if asked == 0 {
                    prop_assert_eq!(accepted, 0);
                } else {
                    prop_assert_eq!(open.threshold, impostors[asked - 1]);
                }
                let dir = share(genuine.iter().map(|g| g.0 == 1 && g.1 >= open.threshold));
                prop_assert!((open.dir.value - dir).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn centroids_equal_plain_means((x, d, y, _) in sets()) {
        let n = y.len();
        let set = Embeddings::new(&x, d, Labels::new(y.iter().copied()).unwrap()).unwrap();
        let mut classes = y.clone();
        classes.sort_unstable();
        classes.dedup();
        let distance = |i: usize, class: u32, without: Option<usize>| -> Option<f64> {
            let own: Vec<usize> = (0..n).filter(|&j| y[j] == class && Some(j) != without).collect();
            (!own.is_empty()).then(|| {
                (0..d).map(|c| x[i * d + c] - own.iter().map(|&j| x[j * d + c]).sum::<f64>() / own.len() as f64).map(|v| v * v).sum()
            })
        };
        for within in [false, true] {
            let search = if within { Search::within(&set, MEASURE) } else { Search::between(&set, &set, MEASURE) };
            let mut unsure = false;
            let right = share((0..n).map(|i| {
                let all: Vec<(u32, f64)> = classes.iter().filter_map(|&c| Some((c, distance(i, c, within.then_some(i))?))).collect();
                let least = all.iter().map(|a| a.1).fold(f64::INFINITY, f64::min);
                // Means are rounded: who is nearest may be open.
                unsure |= all.iter().filter(|a| a.1 <= least + 1e-9).count() > 1;
                all.iter().any(|a| a.0 == y[i] && a.1 == least)
            }).collect::<Vec<_>>().into_iter());
            if !unsure {
                prop_assert!((nearest_centroid_accuracy(&search).unwrap().value - right).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_adjusted_rand_index_equals_counting_pairs((_, _, y, groups) in sets()) {
        let n = y.len();
        let assignment: Vec<usize> = groups.iter().map(|g| g.0).collect();
        let pairs: Vec<(bool, bool)> =
            (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| (assignment[i] == assignment[j], y[i] == y[j])).collect();
        let count = |f: &dyn Fn(&(bool, bool)) -> bool| pairs.iter().filter(|p| f(p)).count() as f64;
        // The form with the four kinds of pairs.
        let (a, b, c, e) = (count(&|p| p.0 && p.1), count(&|p| p.0 && !p.1), count(&|p| !p.0 && p.1), count(&|p| !p.0 && !p.1));
        let under = (a + b) * (b + e) + (a + c) * (c + e);
        let want = if under == 0. { 1. } else { 2. * (a * e - b * c) / under };
        let got = Clustering::new(&Labels::new(y.iter().copied()).unwrap(), &assignment).unwrap().ari();
        prop_assert!((got - want).abs() < 1e-12, "{got} {want}");
    }

    #[test]
    fn diagnostics_equal_all_pairs((x, d, y, _) in sets()) {
        let n = y.len();
        let set = Embeddings::new(&x, d, Labels::new(y.iter().copied()).unwrap()).unwrap();
        let unit: Vec<f64> = x.chunks(d).flat_map(|row| {
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.iter().map(move |v| if length > 0. { v / length } else { 0. })
        }).collect();
        let pairs: Vec<(f64, bool)> =
            (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| (-near(&unit, d, i, j), y[i] == y[j])).collect();
        let mean = |same: bool| {
            let own: Vec<f64> = pairs.iter().filter(|p| p.1 == same).map(|p| p.0).collect();
            own.iter().sum::<f64>() / own.len() as f64
        };
        match diagnostics(&set) {
            Err(Error::NoPositive { .. }) => prop_assert!(pairs.iter().all(|p| !p.1)),
            Err(Error::OneKindOfPair { .. }) => prop_assert!(pairs.iter().all(|p| p.1)),
            Err(e) => panic!("{e}"),
            Ok(got) => {
                prop_assert!((got.alignment - mean(true)).abs() < 1e-12);
                let uniformity = (pairs.iter().map(|p| (-2. * p.0).exp()).sum::<f64>() / pairs.len() as f64).ln();
                prop_assert!((got.uniformity - uniformity).abs() < 1e-12);
                if mean(false) > 1e-9 {
                    prop_assert!((got.intra_over_inter - mean(true) / mean(false)).abs() < 1e-9);
                }
                let mean: Vec<f64> = (0..d).map(|c| unit.chunks(d).map(|r| r[c]).sum::<f64>() / n as f64).collect();
                let cov = |a: usize, b: usize| unit.chunks(d).map(|r| (r[a] - mean[a]) * (r[b] - mean[b])).sum::<f64>();
                let trace = (0..d).map(|c| cov(c, c)).sum::<f64>();
                // Rows of small whole numbers that differ as directions do so by far more than rounding.
                prop_assert_eq!(got.spectrum.is_empty(), trace < 1e-20);
                if !got.spectrum.is_empty() {
                    prop_assert!(got.spectrum.len() == d && got.spectrum.windows(2).all(|w| w[0] >= w[1]));
                    prop_assert!((got.spectrum.iter().sum::<f64>() - 1.).abs() < 1e-12);
                    prop_assert!(got.effective_rank >= 1. - 1e-9 && got.effective_rank <= d as f64 + 1e-9);
                    // The sum of squared shares is that of the covariance's entries.
                    let squares = (0..d).flat_map(|a| (0..d).map(move |b| (a, b))).map(|(a, b)| cov(a, b).powi(2)).sum::<f64>();
                    prop_assert!((got.spectrum.iter().map(|p| p * p).sum::<f64>() - squares / trace / trace).abs() < 1e-9);
                }
            }
        }
    }
}

/// One direction six times, its mean not exactly itself by rounding: no direction varies.
#[test]
fn rows_alike_have_no_spectrum() {
    for (x, d) in [(vec![1f64; 6], 1), ([1., 3., 2., 6., 3., 9.].repeat(7), 2)] {
        let n = x.len() / d;
        let set = Embeddings::new(&x, d, Labels::new((0..n as u32).map(|i| u32::from(i == 4))).unwrap()).unwrap();
        let got = diagnostics(&set).unwrap();
        assert!(got.spectrum.is_empty() && got.effective_rank == 0., "{got:?}");
    }
}

#[test]
fn folds_take_the_threshold_of_the_others() {
    // Three folds: the first two agree on any threshold between 0.4 and 0.6, the third has its scores shifted up by 0.3.
    let scores = [0.6, 0.4, 0.8, 0.2, 0.9, 0.7];
    let same = [true, false, true, false, true, false];
    let found = folds(&scores, &same, &[0, 0, 1, 1, 2, 2]).unwrap();
    // For the third: (0.6 + 0.4) / 2, which accepts 0.7.
    assert!((found.folds[2].threshold - 0.5).abs() < 1e-15);
    assert_eq!(found.folds[2].accuracy, 0.5);
    // For the first: 0.8 is below the impostor at 0.7 only from (0.8 + 0.7) / 2 on, which refuses 0.6.
    assert!((found.folds[0].threshold - 0.75).abs() < 1e-15);
    assert_eq!(found.folds[0].accuracy, 0.5);
    // For the second: of 0.9 0.7 0.6 0.4 three are right at 0.8 as at 0.5; the highest is taken.
    assert!((found.folds[1].threshold - 0.8).abs() < 1e-15);
    assert_eq!(found.folds[1].accuracy, 1.);
    assert!((found.accuracy.value - 2. / 3.).abs() < 1e-15);
    // Deviations -1/6, 1/3, -1/6: variance 1/12 over 2 degrees of freedom, over 3 folds.
    assert!((found.accuracy.standard_error - (1f64 / 12. / 3.).sqrt()).abs() < 1e-15);
    assert!(matches!(folds(&scores, &same, &[0; 6]), Err(Error::Setting { .. })));
    assert!(matches!(folds(&scores, &same, &[0, 0, 2, 2, 2, 2]), Err(Error::Setting { .. })));
    assert!(matches!(folds(&scores, &same, &[0, 0, 1]), Err(Error::Setting { .. })));
    assert!(matches!(folds(&scores, &[true; 6], &[0, 0, 1, 1, 2, 2]), Err(Error::OneKindOfPair { .. })));
}

#[test]
fn an_interval_covers_the_mean_and_narrows_with_more_classes() {
    let interval = |classes: usize| {
        let values: Vec<f64> = (0..classes * 4).map(|i| ((i / 4 * 7919) % 101) as f64 / 100.).collect();
        let labels = Labels::new((0..classes * 4).map(|i| (i / 4) as u32)).unwrap();
        let mut rng = Streams::new(3).open(Purpose::Evaluation, [9, 0]);
        let found = bootstrap(&values, &labels, 2000, &mut rng).unwrap();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!(found.low < mean && mean < found.high);
        found.high - found.low
    };
    let (few, many) = (interval(25), interval(400));
    // Sixteen times as many classes: about a quarter of the width.
    assert!(many < 0.4 * few && many > 0.15 * few, "{few} {many}");
    let labels = Labels::new([1, 2]).unwrap();
    let mut rng = Streams::new(3).open(Purpose::Evaluation, [9, 0]);
    assert!(matches!(bootstrap(&[1., 2.], &labels, 10, &mut rng), Err(Error::Setting { .. })));
}

#[test]
fn copies_of_a_pair_tie_whatever_rounding_makes_of_their_cosine() {
    use rand::Rng;
    // Rows of one direction: every cosine is 1, but for rounding.
    for seed in 0..50 {
        let mut rng = Streams::new(seed).open(Purpose::Evaluation, [0, 0]);
        let direction: Vec<f64> = (0..5).map(|_| rng.random::<f64>() - 0.5).collect();
        let lengths = [1., 3., 0.7, 11.];
        let values: Vec<f64> = lengths.iter().flat_map(|l| direction.iter().map(move |v| l * v)).collect();
        let set = Embeddings::new(&values, 5, Labels::new([1, 1, 2, 2]).unwrap()).unwrap();
        let roc = Roc::of_pairs(&set, Measure::Cosine, 100, &mut rng).unwrap();
        assert_eq!((roc.auc(), roc.eer(), roc.tar_at_far(0.)), (0.5, 0.5, 0.), "{seed}");
        assert_eq!(roc.eer_interpolated(), 0.5);
    }
}

#[test]
fn the_interpolated_equal_error_rate_is_where_the_rates_meet() {
    // A curve with a point on the diagonal of errors: both are the same there.
    let roc = Roc::new(&[0.9, 0.8, 0.7, 0.6], &[true, false, true, false]).unwrap();
    assert_eq!((roc.eer(), roc.eer_interpolated()), (0.5, 0.5));
    // False accepts 0, 1/2, 1 and false rejects 1/4 at the first two: they meet at 1/4.
    let scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4];
    let roc = Roc::new(&scores, &[true, true, true, false, true, false]).unwrap();
    assert_eq!((roc.eer_interpolated(), roc.eer()), (0.25, 0.125));
    // All told rightly, all told wrongly.
    assert_eq!(Roc::new(&[1., 0.], &[true, false]).unwrap().eer_interpolated(), 0.);
    assert_eq!(Roc::new(&[0., 1.], &[true, false]).unwrap().eer_interpolated(), 1.);
    assert_eq!(Roc::new(&[1., 1.], &[true, false]).unwrap().eer_interpolated(), 0.5);
}

#[test]
fn pairs_are_drawn_at_once_where_one_class_is_nearly_all() {
    let n = 200_000;
    let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let labels = Labels::new((0..n as u32).map(|i| u32::from(i == 7))).unwrap();
    let set = Embeddings::new(&values, 1, labels).unwrap();
    let mut rng = Streams::new(1).open(Purpose::Evaluation, [0, 0]);
    // Blindly a pair of two classes would take 200,000 draws.
    let roc = Roc::of_pairs(&set, Measure::SquaredEuclidean, 200_000, &mut rng).unwrap();
    assert!(roc.auc() > 0.);
}

/// 300 classes of two rows, 0.01 apart in the mean with noise 0.001, away from the origin.
fn far(offset: f64) -> (Vec<f64>, Labels) {
    use rand::Rng;
    let mut rng = Streams::new(4).open(Purpose::Evaluation, [0, 0]);
    let mut normal = |scale: f64| scale * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.);
    let centers: Vec<f64> = (0..300 * 8).map(|_| normal(0.01)).collect();
    let values = (0..600 * 8).map(|i| centers[i / 16 * 8 + i % 8] + normal(0.001) + offset).collect();
    (values, Labels::new((0..600u32).map(|i| i / 2)).unwrap())
}

#[test]
fn rows_far_from_the_origin_are_found_by_all_scores_alike() {
    for (offset, measure) in [
        (0., Measure::SquaredEuclidean),
        (10., Measure::SquaredEuclidean),
        (1000., Measure::Cosine),
        (1e7, Measure::SquaredEuclidean),
    ] {
        let (values, labels) = far(offset);
        let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        // At 1e7 f32 itself has lost the rows; at 1000 it keeps noise of 0.001 to 6 hundredths of it.
        let sets = [
            Some(Embeddings::new(&values, 8, labels.clone()).unwrap()),
            (offset < 1e6).then(|| Embeddings::new(&single, 8, labels.clone()).unwrap()),
        ];
        for set in sets.iter().flatten() {
            let search = Search::within(set, measure);
            let recall = retrieval(&search, &[1]).unwrap().recall_at[0].1.value;
            assert!(recall > 0.99, "{offset} {measure}: {recall}");
            assert_eq!(knn_accuracy(&search, 1).unwrap().value, recall, "{offset} {measure}");
            let near = search.nearest(1).unwrap();
            let right = near.iter().enumerate().filter(|(i, near)| labels.same(*i, near[0])).count();
            assert_eq!(right as f64 / 600., recall, "{offset} {measure}");
        }
    }
}

#[test]
fn tensors_of_sixteen_bits_are_judged_in_f32_views_as_others_and_whole_numbers_refused() {
    use candle_core::{DType, Device, Tensor};
    let rows = Tensor::new(&[[1f32, 2.], [3., 4.], [0.5, 1.]], &Device::Cpu).unwrap();
    let of = |rows: &Tensor| Embeddings::from_tensor(rows, Labels::new([1, 1, 2]).unwrap());
    for dtype in [DType::F16, DType::BF16, DType::F64] {
        assert_eq!(of(&rows.to_dtype(dtype).unwrap()).unwrap().wide(), of(&rows).unwrap().wide());
    }
    assert_eq!(of(&rows.t().unwrap().contiguous().unwrap().t().unwrap()).unwrap().wide(), of(&rows).unwrap().wide());
    assert!(of(&rows.to_dtype(DType::I64).unwrap()).unwrap_err().to_string().contains("I64"));
    // What f32 does not hold stays in f64.
    let huge = Tensor::new(&[[1e150f64], [2e150], [9e150]], &Device::Cpu).unwrap();
    let set = of(&huge).unwrap();
    assert_eq!(Search::within(&set, Measure::SquaredEuclidean).nearest(1).unwrap(), [[1], [0], [1]]);
}

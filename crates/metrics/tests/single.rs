//! Sets in f32 are judged as the same sets in f64, and k-means that compares only what moved as one that compares all.
#![allow(clippy::unwrap_used)]

use npair_metrics::*;
use npair_testkit::threads;
use npair_types::{ChaCha8Rng, Labels, Measure, Purpose, Streams};
use proptest::prelude::*;

fn rng(seed: u64) -> ChaCha8Rng {
    Streams::new(seed).open(Purpose::Evaluation, [0, 0])
}

/// Rows around their class's centre, in f32.
fn made(n: usize, d: usize, classes: usize, noise: f64) -> (Vec<f32>, Labels) {
    let number = |i: usize| (i as f64 * 12.9898).sin() * 43_758.545_3 % 1.;
    let of = |i: usize| i % classes;
    let values = (0..n * d).map(|at| (number(of(at / d) * d + at % d) + noise * number(1_000_003 + at)) as f32);
    (values.collect(), Labels::new((0..n).map(|i| of(i) as u32)).unwrap())
}

fn both(values: &[f32], width: usize, labels: &Labels) -> [Embeddings; 2] {
    let wide: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    [Embeddings::new(values, width, labels.clone()), Embeddings::new(&wide, width, labels.clone())].map(Result::unwrap)
}

#[test]
fn retrieval_of_single_is_that_of_double() {
    let (values, labels) = made(1500, 48, 300, 0.7);
    let [single, double] = both(&values, 48, &labels);
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        let ks = [1, 10, 100, 1000];
        let want = query_scores(&Search::within(&double, measure), &ks).unwrap();
        let all = threads::with_threads(&[1, 2, 3], || query_scores(&Search::within(&single, measure), &ks).unwrap());
        // Neither easy nor hopeless: ranks of all sizes.
        let first = want.iter().filter(|q| q.first == 1).count();
        assert!((150..1350).contains(&first), "{measure}: {first}");
        assert!(all.iter().all(|found| *found == want), "{measure}");
        // One side of each type.
        let mixed = query_scores(&Search::between(&single, &double, measure), &ks).unwrap();
        let other = query_scores(&Search::between(&double, &double, measure), &ks).unwrap();
        assert_eq!(mixed, other, "{measure}");
    }
}

/// Lloyd's rounds as they are written down: every row with every centre.
fn plain(x: &[f64], d: usize, starts: Vec<usize>, rounds: usize, narrow: bool) -> (Vec<usize>, Vec<f64>) {
    let row = |i: usize| &x[i * d..][..d];
    let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let mut centres: Vec<Vec<f64>> = starts.iter().map(|&i| row(i).to_vec()).collect();
    let assign = |centres: &[Vec<f64>]| -> Vec<(usize, f64)> {
        let of = |i: usize| {
            let nearer = |best: (usize, f64), (c, f): (usize, f64)| if f < best.1 { (c, f) } else { best };
            centres.iter().map(|c| far(row(i), c)).enumerate().fold((0, f64::INFINITY), nearer)
        };
        (0..x.len() / d).map(of).collect()
    };
    let mut found = assign(&centres);
    let mut course = vec![found.iter().map(|f| f.1).sum::<f64>()];
    for _ in 0..rounds {
        for (c, centre) in centres.iter_mut().enumerate() {
            let own: Vec<usize> = (0..found.len()).filter(|&i| found[i].0 == c).collect();
            for (at, v) in centre.iter_mut().enumerate() {
                let mean = own.iter().map(|&i| row(i)[at]).sum::<f64>() / own.len().max(1) as f64;
                *v = if narrow { f64::from(mean as f32) } else { mean };
            }
        }
        found = assign(&centres);
        course.push(found.iter().map(|f| f.1).sum());
    }
    (found.into_iter().map(|f| f.0).collect(), course)
}

#[test]
fn comparing_what_moved_is_comparing_all() {
    for (n, d, k, noise) in [(700, 16, 90, 1.), (600, 24, 150, 2.5), (500, 8, 20, 0.3)] {
        let (values, labels) = made(n, d, k, noise);
        let sets = both(&values, d, &labels);
        let wide: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        for (set, narrow) in sets.iter().zip([true, false]) {
            let starts = rand::seq::index::sample(&mut rng(4), n, k).into_vec();
            for rounds in [1, 2, 3, 5, 8, 12] {
                let mut course = Vec::new();
                let k_means = KMeans { clusters: k, start: Start::RandomPoints, rounds };
                let found = k_means.run_watched(set, &mut rng(4), &mut |round| course.push(round)).unwrap();
                let (assignment, sse) = plain(&wide, d, starts.clone(), found.rounds, narrow);
                assert_eq!(found.assignment, assignment, "{n} {k} {narrow} {rounds}");
                assert_eq!(course.iter().map(|r| r.round).collect::<Vec<_>>(), (0..=found.rounds).collect::<Vec<_>>());
                for (got, want) in course.iter().zip(&sse) {
                    // Sums of products up to the squared lengths, in f64.
                    assert!((got.sse - want).abs() <= 1e-9 * want, "{n} {k} {narrow}: {} {want}", got.sse);
                }
            }
        }
    }
}

#[test]
fn clusters_of_single_are_the_same_with_any_number_of_threads_and_beyond_the_range_of_squares() {
    let (values, labels) = made(600, 12, 70, 1.);
    let set = Embeddings::new(&values, 12, labels.clone()).unwrap();
    for start in [Start::RandomPoints, Start::PlusPlus] {
        let k_means = KMeans { start, ..KMeans::new(70) };
        let all = threads::with_threads(&[1, 2, 3], || k_means.run(&set, &mut rng(2)).unwrap());
        assert!(all.windows(2).all(|w| w[0] == w[1]));
        // Powers of two: the same clusters, whose squares are beyond f32.
        let scaled: Vec<f32> = values.iter().map(|v| v * 2f32.powi(100)).collect();
        let far = k_means.run(&Embeddings::new(&scaled, 12, labels.clone()).unwrap(), &mut rng(2)).unwrap();
        let double = k_means.run(&both(&values, 12, &labels)[1], &mut rng(2)).unwrap();
        assert_eq!(far.assignment, double.assignment);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whole numbers: centres tie, coincide and are left empty.
    #[test]
    fn comparing_what_moved_is_comparing_all_where_centres_tie(
        (x, d) in (2usize..60, 1usize..3).prop_flat_map(|(n, d)| {
            (proptest::collection::vec((-2i8..=2).prop_map(f64::from), n * d), Just(d))
        }),
        k in 1usize..12,
        seed: u64,
    ) {
        let n = x.len() / d;
        let k = k.min(n);
        let set = Embeddings::new(&x, d, Labels::new((0..n).map(|i| i as u32)).unwrap()).unwrap();
        let starts = rand::seq::index::sample(&mut rng(seed), n, k).into_vec();
        // One round: its distances to the first centres are exact; later means are rounded and ties are open.
        let found = KMeans { clusters: k, start: Start::RandomPoints, rounds: 1 }.run(&set, &mut rng(seed)).unwrap();
        let (_, sse) = plain(&x, d, starts, 1, false);
        prop_assert!((found.sse - sse[1]).abs() <= 1e-9 * sse[1].max(1.), "{} {:?}", found.sse, sse);
    }
}

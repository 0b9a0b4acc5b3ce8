//! Streamed search and ranks against plain sorting.
use npair_similarity::{Exclude, Mask, Rows};
use npair_testkit::threads;
use npair_types::{ExampleId, Labels, Measure};
use proptest::prelude::*;

fn similarity(measure: Measure, q: &[f64], g: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    match measure {
        Measure::Dot => dot(q, g),
        Measure::Cosine if dot(q, q) == 0. || dot(g, g) == 0. => 0.,
        Measure::Cosine => dot(q, g) / (dot(q, q) * dot(g, g)).sqrt(),
        Measure::SquaredEuclidean => -q.iter().zip(g).map(|(x, y)| (x - y) * (x - y)).sum::<f64>(),
    }
}

/// Small whole numbers: dot products and squared distances are exact in f64, so ties are true ties.
fn whole(len: usize, width: usize) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec((-3i8..=3).prop_map(f64::from), len * width)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn search_equals_sorting(
        (q, g, width) in (1usize..90, 1usize..700, 1usize..6).prop_flat_map(|(q, g, w)| (whole(q, w), whole(g, w), Just(w))),
        k in 1usize..60,
    ) {
        let (rows, gallery) = (Rows::new(&q, width).unwrap(), Rows::new(&g, width).unwrap());
        let ids = |n: usize| (0..n).map(|i| ExampleId(i / 2)).collect::<Vec<_>>();
        let (q_ids, g_ids) = (ids(rows.len()), ids(gallery.len()));
        for measure in [Measure::Dot, Measure::SquaredEuclidean] {
            for exclude in [Exclude::Nothing, Exclude::SameRow, Exclude::SameId { queries: &q_ids, gallery: &g_ids }] {
                let near = rows.top_k(gallery, measure, k, exclude).unwrap();
                for i in 0..rows.len() {
                    let out = |j: usize| match exclude {
                        Exclude::Nothing => false,
                        Exclude::SameRow => i == j,
                        Exclude::SameId { .. } => i / 2 == j / 2,
                    };
                    let mut want: Vec<usize> = (0..gallery.len()).filter(|&j| !out(j)).collect();
                    // A stable sort: ties in the order of the gallery.
                    let key = |j: &usize| similarity(measure, rows.row(i), gallery.row(*j));
                    want.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap());
                    want.truncate(k);
                    prop_assert_eq!(near.indices(i).iter().map(|&j| j as usize).collect::<Vec<_>>(), want.clone());
                    for (j, &c) in want.iter().zip(near.similarity(i)) {
                        prop_assert_eq!(key(j), c);
                    }
                }
            }
        }
    }

    #[test]
    fn a_set_searched_in_itself_is_a_set_searched_in_another(
        (x, width) in (1usize..900, 1usize..4).prop_flat_map(|(n, w)| (whole(n, w), Just(w))),
        k in 1usize..90,
        copies: bool,
    ) {
        // Many rows are equal: ties at the rank where the list ends.
        let x: Vec<f64> = if copies { x.iter().map(|v| v.signum()).collect() } else { x };
        let copy = x.clone();
        let (rows, other) = (Rows::new(&x, width).unwrap(), Rows::new(&copy, width).unwrap());
        let ids: Vec<ExampleId> = (0..rows.len()).map(|i| ExampleId(i / 3)).collect();
        for measure in [Measure::Dot, Measure::SquaredEuclidean] {
            for exclude in [Exclude::Nothing, Exclude::SameRow, Exclude::SameId { queries: &ids, gallery: &ids }] {
                let found = rows.top_k(rows, measure, k, exclude).unwrap();
                prop_assert_eq!(found, rows.top_k(other, measure, k, exclude).unwrap());
            }
        }
    }

    #[test]
    fn ranks_equal_counting(
        (x, width) in (2usize..150, 1usize..5).prop_flat_map(|(n, w)| (whole(n, w), Just(w))),
    ) {
        let rows = Rows::new(&x, width).unwrap();
        let labels = Labels::new((0..rows.len()).map(|i| (i % 4) as u32)).unwrap();
        let measure = Measure::SquaredEuclidean;
        let positives = Mask::positives(&labels);
        let best = rows.row_max(rows, measure, &positives).unwrap();
        let ranks = rows.ranks(rows, measure, &Mask::OffDiagonal, &best).unwrap();
        for i in 0..rows.len() {
            let mut order: Vec<usize> = (0..rows.len()).filter(|&j| j != i).collect();
            order.sort_by(|&a, &b| similarity(measure, rows.row(i), rows.row(b)).partial_cmp(&similarity(measure, rows.row(i), rows.row(a))).unwrap());
            let want = order.iter().position(|&j| labels.same(i, j)).map(|at| at + 1);
            prop_assert_eq!(ranks[i], want);
            prop_assert_eq!(best[i].map(|b| b.index), want.map(|r| order[r - 1]));
        }
    }
}

/// Few queries are compared pair by pair, many by streaming the matrix: the lists are the same to the last bit.
#[test]
fn few_queries_find_what_many_find() {
    let [q, g, d] = [9usize, 20_000, 7];
    let value = |i: usize| ((i * 7919 + i * i % 613) % 1009) as f32 / 101. - 5.;
    let queries: Vec<f32> = (0..q * d).map(value).collect();
    // Some rows twice, so that there are ties, and zero rows.
    let gallery: Vec<f32> = (0..g * d).map(|i| if i / d % 50 == 0 { 0. } else { value(i % (g * d / 2)) }).collect();
    let gallery = Rows::new(&gallery, d).unwrap();
    let ids = |n: usize| (0..n).map(|i| ExampleId(i / 3)).collect::<Vec<_>>();
    let (q_ids, g_ids) = (ids(q), ids(g));
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        for k in [1, 10, 700, g] {
            let exclude = Exclude::SameId { queries: &q_ids, gallery: &g_ids };
            let all = Rows::new(&queries, d).unwrap().top_k(gallery, measure, k, exclude).unwrap();
            for few in [1, 4] {
                let some = Rows::new(&queries[..few * d], d).unwrap();
                let exclude = Exclude::SameId { queries: &q_ids[..few], gallery: &g_ids };
                let found = threads::with_threads(&[1, 2], || some.top_k(gallery, measure, k, exclude).unwrap());
                assert_eq!(found[0], found[1]);
                for i in 0..few {
                    assert_eq!(found[0].indices(i), all.indices(i), "{measure}, k = {k}, query {i}");
                    assert_eq!(found[0].similarity(i), all.similarity(i));
                }
            }
        }
    }
}

#[test]
fn cosine_is_near_the_plain_one_and_zero_rows_are_far_from_all() {
    let x: Vec<f64> = (0..60).map(|i| ((i * 37 % 23) as f64 - 11.) * if i < 5 { 0. } else { 1. }).collect();
    let rows = Rows::new(&x, 5).unwrap();
    let near = rows.top_k(rows, Measure::Cosine, 12, Exclude::Nothing).unwrap();
    for i in 0..rows.len() {
        for (&j, &c) in near.indices(i).iter().zip(near.similarity(i)) {
            // Three roundings of values up to 1.
            assert!((c - similarity(Measure::Cosine, rows.row(i), rows.row(j as usize))).abs() < 1e-15);
        }
    }
    assert!(near.similarity(0).iter().all(|&c| c == 0.));
}

/// Large k in a large gallery, where the bar is guessed from a sample: the same as all lists sorted.
#[test]
fn guessed_bars_lose_nothing() {
    let (n, k) = (9000, 70);
    let noise = |i: usize| ((i * 7919 + i / 13 * 104_729) % 10_007) as f64 / 10_007.;
    // Every row of the sample is near to all queries, and nothing else is: every bar is too high.
    let sampled = |i: usize| (0..1024).any(|s| s * n / 1024 == i);
    for (name, x) in [
        ("even", (0..n).map(noise).collect::<Vec<f64>>()),
        ("a misleading sample", (0..n).map(|i| if sampled(i) { 5. + noise(i) } else { noise(i) }).collect()),
        ("all alike", vec![0.25; n]),
    ] {
        let copy = x.clone();
        let (rows, other) = (Rows::new(&x, 1).unwrap(), Rows::new(&copy, 1).unwrap());
        for gallery in [rows, other] {
            let near = rows.top_k(gallery, Measure::SquaredEuclidean, k, Exclude::SameRow).unwrap();
            for i in (0..n).step_by(97) {
                let key = |j: usize| -2. * x[i] * x[j] + x[i] * x[i] + x[j] * x[j];
                let mut want: Vec<usize> = (0..n).filter(|&j| j != i).collect();
                want.sort_by(|&a, &b| key(a).max(0.).partial_cmp(&key(b).max(0.)).unwrap());
                let (got, want) = (near.indices(i), &want[..k]);
                assert_eq!(got.len(), k, "{name}");
                for (&g, &w) in got.iter().zip(want) {
                    // Squares up to 36 were taken from each other.
                    assert!((key(g as usize) - key(w)).abs() <= 4. * 36. * f64::EPSILON, "{name}: {i}");
                }
                if name == "all alike" {
                    assert!(got.iter().zip(want).all(|(&g, &w)| g as usize == w));
                }
            }
        }
    }
}

/// Products are summed in f32: against an oracle in f64, lists differ where similarity does not at that precision.
#[test]
fn neighbours_in_f32_are_those_in_f64_but_for_ties_at_the_rounding_limit() {
    let (n, d, k) = (700, 64, 20);
    let x: Vec<f32> = (0..n * d).map(|i| ((i * 7919 % 10_007) as f32 / 10_007.) - 0.5).collect();
    let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let rows = Rows::new(&x, d).unwrap();
    let near = rows.top_k(rows, Measure::Dot, k, Exclude::SameRow).unwrap();
    let mut same = 0;
    for i in 0..n {
        let key = |j: usize| similarity(Measure::Dot, &wide[i * d..(i + 1) * d], &wide[j * d..(j + 1) * d]);
        let mut want: Vec<usize> = (0..n).filter(|&j| j != i).collect();
        want.sort_by(|&a, &b| key(b).partial_cmp(&key(a)).unwrap());
        // D products of up to 1/4, each rounded and each sum rounded: D^2 / 4 half units in the last place at worst.
        let limit = (d * d) as f64 / 4. * f64::from(f32::EPSILON) / 2.;
        for (&g, &w) in near.indices(i).iter().zip(&want) {
            assert!((key(g as usize) - key(w)).abs() <= 2. * limit, "{i}");
            same += usize::from(g as usize == w);
        }
    }
    assert!(same as f64 >= 0.99 * (n * k) as f64, "{same}");
}

#[test]
fn the_same_neighbours_with_one_and_two_threads() {
    let x: Vec<f32> = (0..1400 * 16).map(|i| ((i * 7919 % 1013) as f32).sin()).collect();
    let found = threads::with_threads(&[1, 2, 3], || {
        let rows = Rows::new(&x, 16).unwrap();
        rows.top_k(rows, Measure::Cosine, 10, Exclude::SameRow).unwrap()
    });
    assert!(found.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn what_does_not_fit_is_said() {
    let data = [0f32; 6];
    let (a, b) = (Rows::new(&data, 2).unwrap(), Rows::new(&data, 3).unwrap());
    let said = |r: npair_similarity::Result<npair_similarity::Neighbors<f32>>| r.unwrap_err().to_string();
    assert!(said(a.top_k(b, Measure::Dot, 1, Exclude::Nothing)).contains("rows of 3, but rows of 2"));
    assert!(said(a.top_k(a, Measure::Dot, 0, Exclude::Nothing)).contains("k >= 1"));
    let ids = [ExampleId(0)];
    let exclude = Exclude::SameId { queries: &ids, gallery: &ids };
    assert!(said(a.top_k(a, Measure::Dot, 1, exclude)).contains("1 and 1, but 3 and 3"));
    assert!(Rows::new(&data, 4).unwrap_err().to_string().contains("6 values in rows of 4"));
    assert!(Rows::new(&[1f32, f32::NAN], 1).unwrap_err().to_string().contains("row 1"));
    let huge = [3e38f32, -3e38];
    let rows = Rows::new(&huge, 1).unwrap();
    assert!(said(rows.top_k(rows, Measure::Dot, 1, Exclude::Nothing)).contains("overflows"));
}

//! Streamed search and ranks against plain sorting.
use npair_similarity::{Exclude, Mask, Rows};
use npair_testkit::threads;
use npair_types::{ExampleId, Labels, Measure};
use proptest::prelude::*;

fn closeness(measure: Measure, q: &[f64], g: &[f64]) -> f64 {
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
                    let key = |j: &usize| closeness(measure, rows.row(i), gallery.row(*j));
                    want.sort_by(|a, b| key(b).partial_cmp(&key(a)).unwrap());
                    want.truncate(k);
                    prop_assert_eq!(near.indices(i).iter().map(|&j| j as usize).collect::<Vec<_>>(), want.clone());
                    for (j, &c) in want.iter().zip(near.closeness(i)) {
                        prop_assert_eq!(key(j), c);
                    }
                }
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
            order.sort_by(|&a, &b| closeness(measure, rows.row(i), rows.row(b)).partial_cmp(&closeness(measure, rows.row(i), rows.row(a))).unwrap());
            let want = order.iter().position(|&j| labels.same(i, j)).map(|at| at + 1);
            prop_assert_eq!(ranks[i], want);
            prop_assert_eq!(best[i].map(|b| b.index), want.map(|r| order[r - 1]));
        }
    }
}

#[test]
fn cosine_is_near_the_plain_one_and_zero_rows_are_far_from_all() {
    let x: Vec<f64> = (0..60).map(|i| ((i * 37 % 23) as f64 - 11.) * if i < 5 { 0. } else { 1. }).collect();
    let rows = Rows::new(&x, 5).unwrap();
    let near = rows.top_k(rows, Measure::Cosine, 12, Exclude::Nothing).unwrap();
    for i in 0..rows.len() {
        for (&j, &c) in near.indices(i).iter().zip(near.closeness(i)) {
            // Three roundings of values up to 1.
            assert!((c - closeness(Measure::Cosine, rows.row(i), rows.row(j as usize))).abs() < 1e-15);
        }
    }
    assert!(near.closeness(0).iter().all(|&c| c == 0.));
}

#[test]
fn the_same_neighbours_with_one_and_two_threads() {
    let x: Vec<f32> = (0..400 * 16).map(|i| ((i * 7919 % 1013) as f32).sin()).collect();
    let found = threads::with_threads(&[1, 2], || {
        let rows = Rows::new(&x, 16).unwrap();
        rows.top_k(rows, Measure::Cosine, 10, Exclude::SameRow).unwrap()
    });
    assert_eq!(found[0], found[1]);
}

#[test]
fn what_does_not_fit_is_said() {
    let data = [0f32; 6];
    let (a, b) = (Rows::new(&data, 2).unwrap(), Rows::new(&data, 3).unwrap());
    let said = |r: npair_similarity::Result<npair_similarity::Neighbours<f32>>| r.unwrap_err().to_string();
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

//! Re-ranking against its definition, written down as sets and full matrices.
#![allow(clippy::unwrap_used)]

use npair_index::Reranking;
use npair_similarity::Rows;
use npair_types::{Purpose, Streams};
use rand::Rng;
use std::collections::BTreeSet;

const D: usize = 5;

/// The distance of every row of the gallery.
fn naive(query: &[f32], gallery: &[f32], settings: Reranking) -> Vec<(usize, f64)> {
    let all: Vec<Vec<f64>> = std::iter::once(query).chain(gallery.chunks(D)).map(unit).collect();
    let n = all.len();
    let distance = |i: usize, j: usize| all[i].iter().zip(&all[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let most: Vec<f64> = (0..n).map(|i| (0..n).map(|j| distance(i, j)).fold(0., f64::max)).collect();
    let d = |i: usize, j: usize| distance(i, j) / most[i];
    let ordered = |i: usize| {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| d(i, a).total_cmp(&d(i, b)));
        order
    };
    let orders: Vec<Vec<usize>> = (0..n).map(ordered).collect();
    let order = |i: usize| orders[i].iter().copied();
    let near = |i: usize, k: usize| order(i).take(k + 1).collect::<BTreeSet<_>>();
    let reciprocal =
        |i: usize, k: usize| near(i, k).into_iter().filter(|&j| near(j, k).contains(&i)).collect::<BTreeSet<_>>();
    let weights = |i: usize| {
        let own = reciprocal(i, settings.k1);
        let mut wide = own.clone();
        for &j in &own {
            let half = reciprocal(j, settings.k1.div_ceil(2));
            if half.intersection(&own).count() as f64 > 2. / 3. * half.len() as f64 {
                wide.extend(half);
            }
        }
        let sum: f64 = wide.iter().map(|&j| (-d(i, j)).exp()).sum();
        (0..n).map(|j| if wide.contains(&j) { (-d(i, j)).exp() / sum } else { 0. }).collect::<Vec<f64>>()
    };
    let first: Vec<Vec<f64>> = (0..n).map(weights).collect();
    let mean = |i: usize, l: usize| {
        let near: Vec<usize> = order(i).take(settings.k2).collect();
        near.iter().map(|&j| first[j][l]).sum::<f64>() / near.len() as f64
    };
    let means: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|l| mean(i, l)).collect()).collect();
    let v = |i: usize, l: usize| means[i][l];
    let result = |j: usize| {
        let (less, more) = (0..n).fold((0., 0.), |s, l| (s.0 + v(0, l).min(v(j, l)), s.1 + v(0, l).max(v(j, l))));
        (1. - settings.lambda) * (1. - less / more) + settings.lambda * d(0, j)
    };
    (1..n).map(|j| (j - 1, result(j))).collect()
}

fn unit(row: &[f32]) -> Vec<f64> {
    let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    row.iter().map(|&v| f64::from(v) / length).collect()
}

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).open(Purpose::Evaluation, [0, 0]);
    // Classes of eight about centres.
    let centres: Vec<f32> = (0..n.div_ceil(8) * D).map(|_| rng.random::<f32>() - 0.5).collect();
    (0..n * D).map(|i| centres[i / D / 8 * D + i % D] + 0.3 * (rng.random::<f32>() - 0.5)).collect()
}

#[test]
fn lists_are_those_of_the_definition() {
    let (gallery, queries) = (values(40, 1), values(6, 2));
    for (k1, k2, lambda) in [(20, 6, 0.3), (5, 1, 0.), (4, 3, 0.5), (7, 2, 1.), (60, 50, 0.3)] {
        let settings = Reranking { candidates: 0, k1, k2, lambda };
        let got = settings.rerank(Rows::new(&queries, D).unwrap(), Rows::new(&gallery, D).unwrap()).unwrap();
        for (query, got) in queries.chunks(D).zip(&got) {
            let want = naive(query, &gallery, settings);
            assert!(got.len() == want.len() && got.is_sorted_by(|a, b| a.1 <= b.1));
            for (row, distance) in got {
                assert!((distance - want[*row].1).abs() < 1e-9, "{k1} {k2} {lambda}: {distance} {:?}", want[*row]);
            }
        }
    }
}

#[test]
fn candidates_are_the_nearest_and_settings_are_checked() {
    let (gallery, queries) = (values(40, 3), values(2, 4));
    let (gallery, queries) = (Rows::new(&gallery, D).unwrap(), Rows::new(&queries, D).unwrap());
    let some = Reranking { candidates: 10, ..Reranking::default() }.rerank(queries, gallery).unwrap();
    let near = queries.top_k(gallery, npair_types::Measure::Cosine, 10, npair_similarity::Exclude::Nothing).unwrap();
    for (i, list) in some.iter().enumerate() {
        let mut rows: Vec<u32> = list.iter().map(|(row, _)| *row as u32).collect();
        let mut want = near.indices(i).to_vec();
        rows.sort_unstable();
        want.sort_unstable();
        assert_eq!(rows, want);
    }
    let usual = Reranking::default();
    for wrong in [Reranking { k1: 0, ..usual }, Reranking { k2: 0, ..usual }, Reranking { lambda: 1.5, ..usual }] {
        assert!(wrong.rerank(queries, gallery).unwrap_err().to_string().contains("re-ranking"));
    }
    let many = vec![1f32; 5000];
    let said = Reranking { candidates: 0, ..usual }
        .rerank(Rows::new(&[1f32], 1).unwrap(), Rows::new(&many, 1).unwrap())
        .unwrap_err()
        .to_string();
    assert!(said.contains("at most 4096"), "{said}");
}

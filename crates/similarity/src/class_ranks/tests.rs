#![allow(clippy::unwrap_used)]
use super::*;
use npair_testkit::threads;
use npair_types::ExampleId;
use proptest::prelude::*;

fn similarity(measure: Measure, a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let lengths = dot(a, a).sqrt() * dot(b, b).sqrt();
    match measure {
        Measure::Dot => dot(a, b),
        Measure::Cosine if lengths == 0. => 0.,
        Measure::Cosine => dot(a, b) / lengths,
        Measure::SquaredEuclidean => -a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>(),
    }
}

/// Ranks by sorting everything.
fn sorted(x: &[f64], g: &[f64], d: usize, measure: Measure, classes: &Classes) -> Vec<Vec<usize>> {
    let n = g.len() / d;
    let of = |query: usize| {
        let near: Vec<f64> = (0..n).map(|j| similarity(measure, &x[query * d..][..d], &g[j * d..][..d])).collect();
        let mut order: Vec<usize> = (0..n).filter(|&j| !classes.exclude.hits(query, j)).collect();
        order.sort_by(|&a, &b| near[b].partial_cmp(&near[a]).unwrap());
        let own = |&j: &usize| classes.labels[0].get(query) == classes.labels[1].get(j);
        order.iter().enumerate().filter(|(_, j)| own(j)).map(|(at, _)| at + 1).collect()
    };
    (0..x.len() / d).map(of).collect()
}

fn labels(n: usize, step: usize, classes: usize) -> Labels {
    Labels::new((0..n).map(|i| (i * step % classes * 3) as u32)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whole numbers: both types are exact, and ties are common.
    #[test]
    fn every_way_equals_sorting(
        (x, g, d) in (1usize..400, 1usize..300, 1usize..5).prop_flat_map(|(q, g, d)| {
            let whole = |n: usize| proptest::collection::vec((-3i8..=3).prop_map(f64::from), n * d);
            (whole(q), whole(g), Just(d))
        }),
        classes in 1usize..40,
        step in 1usize..4,
        most in 1usize..3000,
    ) {
        let (q, n) = (x.len() / d, g.len() / d);
        let (of_queries, of_gallery) = (labels(q, step, classes), labels(n, 1, classes));
        let single = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (x32, g32) = (single(&x), single(&g));
        let ids = |n: usize| (0..n).map(|i| ExampleId(i / 3)).collect::<Vec<_>>();
        let (q_ids, g_ids) = (ids(q), ids(n));
        let itself = [&of_queries, &of_queries];
        let other = [&of_queries, &of_gallery];
        let apart = Exclude::SameId { queries: &q_ids, gallery: &g_ids };
        let within = Exclude::SameId { queries: &q_ids, gallery: &q_ids };
        for measure in [Measure::Dot, Measure::SquaredEuclidean] {
            for (sides, gallery, gallery32, exclude) in [
                (itself, &x, &x32, Exclude::SameRow),
                (itself, &x, &x32, within),
                (other, &g, &g32, Exclude::Nothing),
                (other, &g, &g32, apart),
            ] {
                let classes = Classes::new(sides, exclude);
                let want = sorted(&x, gallery, d, measure, &classes);
                let list = |_: usize, ranks: &[usize]| ranks.to_vec();
                let (queries, gallery) = (Rows::trusted(&x, d), Rows::trusted(gallery, d));
                let (queries32, gallery32) = (Rows::trusted(&x32, d), Rows::trusted(gallery32, d));
                let double = classes.in_double(queries, gallery, measure, most, &list).unwrap();
                prop_assert_eq!(&double, &want);
                let found = classes.in_single(queries32, gallery32, measure, 1, &list).unwrap();
                prop_assert_eq!(found.as_ref(), Some(&want));
                let public = queries32.map_class_ranks(gallery32, measure, sides, exclude, list).unwrap();
                prop_assert_eq!(&public, &want);
            }
        }
    }
}

/// Clusters far tighter than a product in f32 can tell, near to each other and far from the origin.
#[test]
fn products_in_single_give_the_ranks_of_double() {
    let (n, d) = (300, 520);
    let noise = |i: usize| ((i * 7919 + i / 13 * 104_729) % 10_007) as f64 / 10_007. - 0.5;
    let x: Vec<f32> = (0..n * d)
        .map(|i| (0.3 + noise(i % d) + 1e-3 * noise(7 * (i / d / 4) + 31 * (i % d)) + 1e-5 * noise(i)) as f32)
        .collect();
    let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let of = Labels::new((0..n).map(|i| (i / 4) as u32)).unwrap();
    let classes = Classes::new([&of, &of], Exclude::SameRow);
    let list = |_: usize, ranks: &[usize]| ranks.to_vec();
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        let want = sorted(&wide, &wide, d, measure, &classes);
        let rows = Rows::trusted(&x, d);
        let all = threads::with_threads(&[1, 2, 3], || classes.in_single(rows, rows, measure, 1, &list).unwrap());
        assert_eq!(all[0].as_ref(), Some(&want), "{measure}");
        assert!(all.windows(2).all(|w| w[0] == w[1]), "{measure}");
        // Too much of it is unsure: the same in f64. Distances are told apart in f32, from a point amid the rows.
        let told = classes.in_single(rows, rows, measure, 1 << 10, &list).unwrap().is_some();
        assert_eq!(told, measure == Measure::SquaredEuclidean);
        let public = rows.map_class_ranks(rows, measure, [&of, &of], Exclude::SameRow, list).unwrap();
        assert_eq!(public, want, "{measure}");
    }
}

#[test]
fn rows_beyond_single_are_ranked_in_double() {
    let of = Labels::new([1, 1, 2, 2]).unwrap();
    let ranks = |x: &[f32], measure| {
        let rows = Rows::new(x, 1).unwrap();
        rows.map_class_ranks(rows, measure, [&of, &of], Exclude::SameRow, |_, ranks| ranks.to_vec())
    };
    // Squares of these are beyond f32, and below it; powers of two, so that ties stay ties.
    for scale in [2f32.powi(100), 2f32.powi(-100)] {
        let x = [1., 2., 5., 4.5].map(|v| v * scale);
        assert_eq!(ranks(&x, Measure::SquaredEuclidean).unwrap(), [[1], [1], [1], [1]]);
        assert_eq!(ranks(&x, Measure::Dot).unwrap(), [[3], [3], [1], [1]]);
        let x = [1., -2., -4., 0.5].map(|v| v * scale);
        assert_eq!(ranks(&x, Measure::Cosine).unwrap(), [[2], [2], [3], [3]]);
    }
    let rows = Rows::new(&[1e200f64, 1e200, -1e200, 1.], 1).unwrap();
    let found = rows.map_class_ranks(rows, Measure::Dot, [&of, &of], Exclude::SameRow, |_, _| ());
    assert!(found.unwrap_err().to_string().contains("overflow"));
    let short = Labels::new([1]).unwrap();
    let found = rows.map_class_ranks(rows, Measure::Dot, [&of, &short], Exclude::SameRow, |_, _| ());
    assert!(found.unwrap_err().to_string().contains("labels of queries and gallery"));
}

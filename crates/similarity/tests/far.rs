//! Rows far from the origin, near to each other, very long and very short: neighbours and distances against plain loops in f64.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::{Error, Exclude, Mask, Rows, Similarity};
use npair_testkit::{inputs, threads};
use npair_types::{Labels, Measure};

const MEASURES: [Measure; 3] = [Measure::SquaredEuclidean, Measure::Cosine, Measure::Dot];

fn similarity(measure: Measure, q: &[f64], g: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    match measure {
        Measure::Dot => dot(q, g),
        Measure::Cosine => dot(q, g) / (dot(q, q) * dot(g, g)).sqrt(),
        Measure::SquaredEuclidean => -q.iter().zip(g).map(|(x, y)| (x - y) * (x - y)).sum::<f64>(),
    }
}

fn normal(seed: u64, deviation: f64, n: usize) -> Vec<f64> {
    inputs::normal(seed, deviation, n, DType::F64).unwrap().to_vec1().unwrap()
}

/// `classes` of two rows each, centers 0.01 apart in the mean, noise 0.001, all of it away from the origin.
fn pairs_of_rows(classes: usize, width: usize, offset: impl Fn(usize) -> f64) -> Vec<f64> {
    let (centers, noise) = (normal(1, 0.01, classes * width), normal(2, 0.001, 2 * classes * width));
    let of = |i: usize| centers[i / width / 2 * width + i % width] + noise[i] + offset(i / width / 2);
    (0..2 * classes * width).map(of).collect()
}

/// Whether these are the nearest rows in order, and their similarity is right.
fn check(name: &str, x: &[f64], width: usize, measure: Measure, found: &[(Vec<u32>, Vec<f64>)], step: usize) {
    let n = x.len() / width;
    let row = |i: usize| &x[i * width..][..width];
    for i in (0..n).step_by(step) {
        let near: Vec<f64> = (0..n).map(|j| similarity(measure, row(i), row(j))).collect();
        let mut want: Vec<usize> = (0..n).filter(|&j| j != i).collect();
        want.sort_by(|&a, &b| near[b].partial_cmp(&near[a]).unwrap());
        for (at, (&got, &value)) in found[i].0.iter().zip(&found[i].1).enumerate() {
            let (got, want) = (near[got as usize], near[want[at]]);
            // What f64 itself rounds.
            let least = 1e-13 * (similarity(Measure::Dot, row(i), row(i)).abs() + want.abs());
            let least =
                if measure == Measure::SquaredEuclidean { 1e-9 * want.abs() } else { least.min(1e-12 * want.abs()) };
            assert!((got - want).abs() <= least, "{name} {measure}: row {i}, place {at}: {got:e} for {want:e}");
            assert!((value - got).abs() <= 1e-7 * got.abs(), "{name} {measure}: {value:e} for {got:e}");
        }
    }
}

#[test]
fn f32_rows_wherever_they_are_find_their_nearest_and_say_how_near_it_is() {
    let (classes, width) = (300, 16);
    for (name, x) in [
        ("at the origin", pairs_of_rows(classes, width, |_| 0.)),
        ("at 10", pairs_of_rows(classes, width, |_| 10.)),
        ("at 1000", pairs_of_rows(classes, width, |_| 1000.)),
        ("two clusters", pairs_of_rows(classes, width, |class| if class % 2 == 0 { 30. } else { -30. })),
        ("many clusters", pairs_of_rows(classes, width, |class| f64::from(class as u32 % 30) - 15.)),
    ] {
        let single: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let wide: Vec<f64> = single.iter().map(|&v| f64::from(v)).collect();
        let other = single.clone();
        let (rows, other) = (Rows::new(&single, width).unwrap(), Rows::new(&other, width).unwrap());
        for measure in MEASURES {
            for k in [1, 7] {
                let run = || rows.top_k(rows, measure, k, Exclude::SameRow).unwrap();
                let all = threads::with_threads(&[1, 2, 3], run);
                assert!(all.windows(2).all(|w| w[0] == w[1]), "{name} {measure}");
                assert_eq!(all[0], rows.top_k(other, measure, k, Exclude::SameRow).unwrap(), "{name} {measure}");
                let of = |i| (all[0].indices(i).to_vec(), all[0].similarity(i).iter().map(|&v| v.into()).collect());
                let found: Vec<(Vec<u32>, Vec<f64>)> = (0..all[0].len()).map(of).collect();
                check(name, &wide, width, measure, &found, 1);
            }
        }
    }
}

/// Large k in a large gallery, where a bar is guessed first.
#[test]
fn many_neighbours_far_from_the_origin_are_the_nearest_too() {
    let (classes, width, k) = (4200, 3, 80);
    let x = pairs_of_rows(classes, width, |class| 10. + f64::from(class as u32 % 3));
    let single: Vec<f32> = x.iter().map(|&v| v as f32).collect();
    let wide: Vec<f64> = single.iter().map(|&v| f64::from(v)).collect();
    let rows = Rows::new(&single, width).unwrap();
    for measure in MEASURES {
        let near = rows.top_k(rows, measure, k, Exclude::SameRow).unwrap();
        let of = |i| (near.indices(i).to_vec(), near.similarity(i).iter().map(|&v| v.into()).collect());
        let found: Vec<(Vec<u32>, Vec<f64>)> = (0..near.len()).map(of).collect();
        check("many", &wide, width, measure, &found, 211);
    }
}

#[test]
fn f64_rows_far_from_the_origin_are_ranked_by_their_differences() {
    let (classes, width) = (200, 8);
    for offset in [|_: usize| 1e7, |class: usize| if class.is_multiple_of(2) { 1e7 } else { -1e7 }] {
        let x = pairs_of_rows(classes, width, offset);
        let labels = Labels::new((0..2 * classes as u32).map(|i| i / 2)).unwrap();
        let rows = Rows::new(&x, width).unwrap();
        let measure = Measure::SquaredEuclidean;
        let ranks =
            rows.map_class_ranks(rows, measure, [&labels, &labels], Exclude::SameRow, |_, ranks| ranks[0]).unwrap();
        for (i, &rank) in ranks.iter().enumerate() {
            let near = |j: usize| similarity(measure, rows.row(i), rows.row(j));
            let own = near(i ^ 1);
            assert_eq!(rank, 1 + (0..rows.len()).filter(|&j| j != i && j != i ^ 1 && near(j) > own).count());
        }
        let near = rows.top_k(rows, measure, 3, Exclude::SameRow).unwrap();
        let of = |i| (near.indices(i).to_vec(), near.similarity(i).to_vec());
        check("f64", &x, width, measure, &(0..near.len()).map(of).collect::<Vec<_>>(), 1);
        let best = rows.row_max(rows, measure, &Mask::OffDiagonal).unwrap();
        let closest = rows.closest(Rows::new(&x[..40 * width], width).unwrap(), measure).unwrap();
        for i in 0..rows.len() {
            assert_eq!(best[i].unwrap().index, near.indices(i)[0] as usize);
            let all = (0..40).map(|j| similarity(measure, rows.row(i), rows.row(j)));
            let most = all.fold(f64::NEG_INFINITY, f64::max);
            assert!((closest[i].similarity - most).abs() <= 1e-9 * most.abs());
        }
    }
}

#[test]
fn squared_distances_of_f32_rows_keep_their_digits_in_every_view() {
    let (classes, width) = (40, 16);
    for offset in [|_: usize| 10., |class: usize| if class.is_multiple_of(2) { 100. } else { -100. }] {
        let x: Vec<f32> = pairs_of_rows(classes, width, offset).iter().map(|&v| v as f32).collect();
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let rows = Rows::new(&x, width).unwrap();
        let lines = rows.map_lines(rows, Measure::SquaredEuclidean, |_, line| line.to_vec()).unwrap();
        for (i, line) in lines.iter().enumerate() {
            for (j, &got) in line.iter().enumerate() {
                let want =
                    similarity(Measure::SquaredEuclidean, &wide[i * width..][..width], &wide[j * width..][..width]);
                assert!((f64::from(got) - want).abs() <= 1e-4 * want.abs(), "{i} {j}: {got:e} for {want:e}");
            }
        }
    }
    // The matrix as a tensor, and the streamed reduction with its gradient: the same at 100 as at the origin.
    let at = |offset: f64| {
        let x: Vec<f32> = pairs_of_rows(10, 4, |_| 0.)
            .iter()
            .map(|&v| ((v as f32 * 4096.).round() / 4096.) + offset as f32)
            .collect();
        let x = Var::from_tensor(&Tensor::from_vec(x, (20, 4), &Device::Cpu).unwrap()).unwrap();
        let view = Similarity::new(&x, &x, Measure::SquaredEuclidean).unwrap();
        let sum = view.log_sum_exp(&Mask::OffDiagonal).unwrap().sum_all().unwrap();
        let gradient = sum.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (
            view.dense().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            sum.to_scalar::<f32>().unwrap(),
            gradient,
        )
    };
    let ((near, sum, by), (far, of_far, by_far)) = (at(0.), at(64.));
    assert!(near.iter().zip(&far).all(|(a, b)| (a - b).abs() <= 1e-8), "distances up to 0.01");
    assert!((sum - of_far).abs() <= 1e-4 && by.iter().zip(&by_far).all(|(a, b)| (a - b).abs() <= 1e-5));
}

#[test]
fn rows_of_any_length_are_compared_or_the_range_is_said() {
    let angles = [0f64, 1., 0.1, 1.2];
    for length in [1e-250, 1e-60, 1e150, 1e200, 1e300] {
        let x: Vec<f64> = angles.iter().flat_map(|a| [a.cos() * length, a.sin() * length]).collect();
        let rows = Rows::new(&x, 2).unwrap();
        let near = rows.top_k(rows, Measure::Cosine, 2, Exclude::SameRow).unwrap();
        assert_eq!((near.indices(0), near.indices(1)), (&[2, 1][..], &[3, 2][..]), "{length:e}");
        assert!((near.similarity(0)[0] - 0.1f64.cos()).abs() <= 1e-15);
        let labels = Labels::new([1, 2, 1, 2]).unwrap();
        let first = |_: usize, ranks: &[usize]| ranks[0];
        let ranks = rows.map_class_ranks(rows, Measure::Cosine, [&labels, &labels], Exclude::SameRow, first).unwrap();
        assert_eq!(ranks, [1; 4]);
        let tensor = Tensor::from_slice(&x, (4, 2), &Device::Cpu).unwrap();
        let view = |measure| Similarity::new(&tensor, &tensor, measure).unwrap().top_k(1, Exclude::SameRow);
        assert_eq!(view(Measure::Cosine).unwrap().indices(0), [2]);
        if length > 1e100 {
            assert!(matches!(view(Measure::Dot), Err(Error::Overflow { .. })), "{length:e}");
        }
    }
    // f32 does not hold the squares, f64 does.
    for length in [1e-30f32, 1e30] {
        let x: Vec<f32> = angles.iter().flat_map(|a| [a.cos() as f32 * length, a.sin() as f32 * length]).collect();
        let rows = Rows::new(&x, 2).unwrap();
        let near = rows.top_k(rows, Measure::Cosine, 1, Exclude::SameRow).unwrap();
        assert_eq!((near.indices(0), near.indices(3)), (&[2][..], &[1][..]));
        let lines = rows.map_lines(rows, Measure::Cosine, |_, line| line[2]).unwrap();
        assert!((f64::from(lines[0]) - 0.1f64.cos()).abs() <= 1e-6);
    }
    let short = Rows::new(&[1e-30f32, 3e-30, 3.5e-30], 1).unwrap();
    let near = short.top_k(short, Measure::SquaredEuclidean, 1, Exclude::SameRow).unwrap();
    assert_eq!((near.indices(0), near.indices(1)), (&[1][..], &[2][..]));
}

#[test]
fn copies_of_a_row_have_the_cosine_one_to_the_bit() {
    for seed in 0..200 {
        let x = normal(seed, 1., 7);
        let both = [&x[..], &x[..], &x.iter().map(|v| v * 4.).collect::<Vec<_>>()[..]].concat();
        let rows = Rows::new(&both, 7).unwrap();
        let pairs = npair_similarity::PairwiseSimilarity::new(rows, rows, Measure::Cosine);
        assert!([(0, 0), (0, 1), (0, 2), (2, 1)].iter().all(|&(i, j)| pairs.similarity(i, j) == 1.), "{seed}");
    }
}

#[test]
fn what_is_not_finite_is_refused_by_its_row_in_the_whole_matrix_too() {
    for measure in MEASURES {
        let x = Tensor::new(&[[1f32, 2.], [3., f32::NAN], [0., 1.]], &Device::Cpu).unwrap();
        let fine = x.ones_like().unwrap();
        let said = |q: &Tensor, g: &Tensor| Similarity::new(q, g, measure).unwrap().dense().unwrap_err().to_string();
        assert!(said(&x, &fine).contains("row 1 of the queries is not finite"), "{measure}");
        assert!(said(&fine, &x).contains("row 1 of the gallery is not finite"), "{measure}");
        assert!(Similarity::new(&x, &fine, measure).unwrap().diagonal().is_err());
    }
}

#[test]
fn views_and_sixteen_bits_are_taken_as_other_sides_are() {
    let x = inputs::normal(3, 1., (6, 4), DType::F32).unwrap();
    let turned = x.t().unwrap().contiguous().unwrap();
    let wider = Tensor::cat(&[&x, &x], 1).unwrap();
    let views = [turned.t().unwrap(), wider.narrow(1, 4, 4).unwrap()];
    let short = x.to_dtype(DType::BF16).unwrap();
    let rounded = short.to_dtype(DType::F32).unwrap();
    let all = |x: &Tensor, measure| {
        let s = Similarity::new(x, x, measure).unwrap();
        let flat = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let best = s.row_max(&Mask::OffDiagonal).unwrap();
        (
            [
                flat(s.dense().unwrap()),
                flat(s.diagonal().unwrap()),
                flat(s.log_sum_exp(&Mask::All).unwrap()),
                flat(best.similarity),
            ],
            s.top_k(2, Exclude::SameRow).unwrap(),
        )
    };
    for measure in MEASURES {
        views.iter().for_each(|view| assert_eq!(all(view, measure), all(&x, measure)));
        assert_eq!(all(&short, measure), all(&rounded, measure));
    }
    let whole = Tensor::ones((2, 2), DType::I64, &Device::Cpu).unwrap();
    assert!(Similarity::new(&whole, &whole, Measure::Dot).unwrap_err().to_string().contains("I64"));
}

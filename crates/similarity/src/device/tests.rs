#![allow(clippy::unwrap_used)]

use super::emulated::{Emulated, SANITIZED, Which, current, emulating};
use super::search::{self, Search, Terms};
use super::soft::{Cut, Reference, Soft, Upstream};
use super::{Extremes, Precision};
use crate::pass::{Kind, Pass, Wanted};
use crate::{Exclude, Mask, Rows, Similarity};
use candle_core::{DType, Device, Tensor, Var};
use npair_types::{Labels, Measure};

/// A type of sides, how it is multiplied, and what the relative error of a gradient may be: weights and results are rounded
/// to the type (twice 2^-9 for bf16, 2^-12 for f16), products have the precision's error, which an exponential passes on,
/// and sums of some hundred terms are of f32.
const TYPES: [(DType, Precision, f64); 5] = [
    (DType::BF16, Precision::Split, 6e-3),
    (DType::F16, Precision::Split, 8e-4),
    (DType::F32, Precision::Split, 3e-5),
    (DType::F32, Precision::Tf32, 6e-3),
    (DType::F32, Precision::Plain, 3e-5),
];

/// Numbers without a pattern, of about this size.
fn numbers(n: usize, seed: u64, size: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..n).map(|_| size * (next() + next() + next())).collect()
}

/// A side in a type, and its values as the type holds them.
fn side(values: &[f64], width: usize, dtype: DType) -> (Tensor, Vec<f64>) {
    let tensor =
        Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    let held = wide(&tensor);
    (tensor, held)
}

fn wide(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// `|a - b| / (|b| + terms)`, where terms is the size of what is summed: it may cancel, its roundings do not.
fn distance(a: &[f64], b: &[f64], terms: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |f: &dyn Fn(usize) -> f64| (0..b.len()).map(|i| f(i) * f(i)).sum::<f64>().sqrt();
    norm(&|i| a[i] - b[i]) / (norm(&|i| b[i]) + terms)
}

/// The longest row.
fn longest(v: &[f64], d: usize) -> f64 {
    v.chunks(d).map(|r| r.iter().map(|x| x * x).sum::<f64>().sqrt()).fold(0., f64::max)
}

/// Whether the kernels run under the sanitizers, which is slow: tests look at a part of the cases.
fn sanitized() -> bool {
    std::env::var_os(SANITIZED).is_some()
}

fn on_every_chip(f: impl Fn(&Emulated)) {
    for which in Which::ALL {
        emulating(which, false, || f(&current().unwrap()));
    }
}

fn masks(n: usize) -> Vec<Mask> {
    let labels = Labels::new((0..n).map(|i| (i * 7 % 5) as u32)).unwrap();
    let other = Labels::new((0..n).map(|i| (i * 3 % 5) as u32)).unwrap();
    vec![
        Mask::All,
        Mask::OffDiagonal,
        Mask::same_class(&labels, &other),
        Mask::positives(&labels),
        Mask::other_class(&labels, &other),
    ]
}

/// The same in f64 on the CPU.
#[allow(clippy::too_many_arguments, reason = "the plain arguments of one pass")]
fn oracle(kind: Kind, mask: &Mask, q: &[f64], g: &[f64], o: Option<&[f64]>, d: usize, up: &[f64]) -> [Vec<f64>; 4] {
    let (queries, gallery) = (Rows::trusted(q, d), Rows::trusted(g, d));
    let reference = o.map_or(crate::pass::Reference::Diagonal, crate::pass::Reference::Given);
    let pass = Pass { kind, mask, queries, gallery, reference };
    let found = pass.run(Wanted { queries: true, gallery: true }, |row| up[row]);
    [found.results, found.queries, found.gallery, found.reference]
}

/// Compares a reduction with the CPU's; results may be off by what their largest entry is.
#[allow(clippy::too_many_arguments, reason = "one line per case of the tests below")]
fn compare(
    chip: &Emulated,
    kind: Kind,
    mask: &Mask,
    (n, d): (usize, usize),
    size: f64,
    (dtype, precision, tolerance): (DType, Precision, f64),
    diagonal: bool,
    cut: Option<Cut>,
) {
    let (q, q_values) = side(&numbers(n * d, 1, size), d, dtype);
    let (g, g_values) = side(&numbers(n * d, 2, size), d, dtype);
    let (o, up) = (numbers(n, 3, 1.), numbers(n, 4, 1.));
    let float = |v: &[f64]| Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    let (o, up) = (float(&o), float(&up));
    let want = oracle(kind, mask, &q_values, &g_values, (!diagonal).then(|| wide(&o)).as_deref(), d, &wide(&up));
    let reference = if diagonal { Reference::Diagonal } else { Reference::Given(&o) };
    let soft = Soft { kind, mask, queries: &q, gallery: &g, reference, precision };
    let wanted = Wanted { queries: true, gallery: true };
    let found = match cut {
        Some(cut) => soft.run_in(chip, cut, wanted, Upstream::Rows(&up)),
        None => soft.run(chip, wanted, Upstream::Rows(&up)),
    }
    .unwrap();
    let what = format!("{kind:?} {mask:?} {n} x {d} {dtype:?} {precision:?} diagonal {diagonal}");
    let (long_q, long_g) = (longest(&q_values, d), longest(&g_values, d));
    let ups = wide(&up).iter().map(|u| u * u).sum::<f64>().sqrt();
    // What the largest entry may be off by: its products, and their sum in f32.
    let off = long_q * long_g * (precision.relative_error(dtype) + (d as f64 + 8.) * 6e-8);
    let rows = if kind == Kind::SoftplusSum { n as f64 } else { 1. };
    for (row, (got, want)) in wide(&found.results).iter().zip(&want[0]).enumerate() {
        let allowed = rows * off * 2. + 4e-6 * want.abs().max(1.);
        assert!(got == want || (got - want).abs() <= allowed, "{what}: row {row}: {got} {want}, {allowed}");
    }
    let tolerance = tolerance + 4. * off;
    for (name, got, want, terms) in [
        ("queries", wide(&found.queries.unwrap()), &want[1], ups * long_g),
        ("gallery", wide(&found.gallery.unwrap()), &want[2], ups * long_q),
        ("reference", wide(&found.reference), &want[3], ups),
    ] {
        let apart = distance(&got, want, terms);
        assert!(apart <= tolerance, "{what}: {name}: {apart} of {tolerance}");
    }
}

#[test]
fn every_type_and_reduction_agrees_with_the_cpu() {
    on_every_chip(|chip| {
        for of in TYPES {
            for kind in [Kind::LogSumExp, Kind::Log1pSumExp, Kind::SoftplusSum] {
                for diagonal in [false, true] {
                    compare(chip, kind, &Mask::OffDiagonal, (150, 37), 0.4, of, diagonal, None);
                }
            }
        }
    });
}

#[test]
fn every_mask_and_odd_size_agrees_with_the_cpu() {
    on_every_chip(|chip| {
        let sizes = [(129, 3), (1, 1), (2, 8), (261, 16)];
        for &(n, d) in if sanitized() { &sizes[..2] } else { &sizes[..] } {
            for mask in masks(n) {
                for kind in [Kind::Log1pSumExp, Kind::SoftplusSum] {
                    compare(chip, kind, &mask, (n, d), 0.4, TYPES[2], true, None);
                }
            }
        }
    });
}

#[test]
fn however_the_matrix_is_cut_and_however_wide_it_is() {
    on_every_chip(|chip| {
        let rows = super::Chip::tiles(chip).rows;
        for of in if sanitized() { vec![TYPES[0]] } else { vec![TYPES[0], TYPES[2]] } {
            for (wave, parts) in [(rows, 1), (rows, 3), (3 * rows, 2)] {
                compare(
                    chip,
                    Kind::Log1pSumExp,
                    &Mask::OffDiagonal,
                    (600, 20),
                    0.4,
                    of,
                    true,
                    Some(Cut { wave, parts }),
                );
            }
            // Wider than the narrow tile of a gradient, and than the wide one.
            compare(chip, Kind::LogSumExp, &Mask::All, (40, 136), 0.2, of, false, None);
            compare(chip, Kind::Log1pSumExp, &Mask::OffDiagonal, (30, 300), 0.1, of, true, None);
        }
    });
}

#[test]
fn extreme_logits_equal_rows_and_zeros() {
    on_every_chip(|chip| {
        // Logits of +-10^4: one entry of a row has all the weight. Numbers without rounding, so that only sums differ.
        let (n, d) = (140, 8);
        let whole: Vec<f64> = numbers(n * d, 9, 30.).iter().map(|v| v.round()).collect();
        for values in [whole, vec![1.; n * d], vec![0.; n * d]] {
            for (dtype, precision, tolerance) in TYPES {
                let (x, held) = side(&values, d, dtype);
                for kind in [Kind::LogSumExp, Kind::Log1pSumExp, Kind::SoftplusSum] {
                    let want = oracle(kind, &Mask::OffDiagonal, &held, &held, None, d, &vec![1.; n]);
                    let reference = Reference::Diagonal;
                    let soft = Soft { kind, mask: &Mask::OffDiagonal, queries: &x, gallery: &x, reference, precision };
                    let found = soft.run(chip, Wanted { queries: true, gallery: true }, Upstream::Each(1.)).unwrap();
                    for (got, want) in wide(&found.results).iter().zip(&want[0]) {
                        assert!((got - want).abs() <= 4e-6 * want.abs().max(1.), "{kind:?} {dtype:?}: {got} {want}");
                    }
                    for (got, want) in [(found.queries, &want[1]), (found.gallery, &want[2])] {
                        let apart =
                            distance(&wide(&got.unwrap()), want, (n as f64).sqrt() * longest(&held, d) + 1e-300);
                        assert!(apart <= tolerance, "{kind:?} {dtype:?} {precision:?}: {apart}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_row_without_entries_and_a_number_that_is_none() {
    on_every_chip(|chip| {
        let labels = Labels::new([0, 1, 1, 2]).unwrap();
        let mask = Mask::positives(&labels);
        let (x, _) = side(&numbers(8, 5, 1.), 2, DType::F32);
        let soft = |kind, x: &Tensor| {
            let soft = Soft {
                kind,
                mask: &mask,
                queries: x,
                gallery: x,
                reference: Reference::Zero,
                precision: Precision::Plain,
            };
            soft.run(chip, Wanted { queries: true, gallery: true }, Upstream::Each(1.)).unwrap()
        };
        let found = soft(Kind::LogSumExp, &x);
        let results = wide(&found.results);
        assert!(results[0] == f64::NEG_INFINITY && results[3] == f64::NEG_INFINITY && results[1].is_finite());
        assert!(wide(&found.queries.unwrap())[..2].iter().all(|&v| v == 0.));
        assert_eq!(wide(&soft(Kind::Log1pSumExp, &x).results)[0], 0.);
        // A NaN anywhere in an entry that counts comes out as one, in its row alone.
        let mut values = wide(&x);
        values[2] = f64::NAN;
        let (x, _) = side(&values, 2, DType::F32);
        for kind in [Kind::LogSumExp, Kind::Log1pSumExp, Kind::SoftplusSum] {
            let results = wide(&soft(kind, &x).results);
            assert!(results[1].is_nan() && results[2].is_nan() && !results[3].is_nan(), "{kind:?} {results:?}");
        }
    });
}

fn found_lists(found: &search::Found) -> Vec<Vec<(u32, f64)>> {
    let (rows, k) = found.places.dims2().unwrap();
    let places = found.places.flatten_all().unwrap().to_vec1::<u32>().unwrap();
    let near = wide(&found.similarity);
    (0..rows)
        .map(|r| (r * k..(r + 1) * k).filter(|&i| places[i] != u32::MAX).map(|i| (places[i], near[i])).collect())
        .collect()
}

#[test]
fn neighbours_are_those_of_the_cpu_with_ties_in_the_order_of_the_gallery() {
    on_every_chip(|chip| {
        // Small whole numbers: products and squares are exact in every type, and ties are many.
        let (q, n, d) = (140, 700, 5);
        let whole = |n: usize, seed| numbers(n, seed, 2.).iter().map(|v| v.round()).collect::<Vec<f64>>();
        let (queries, gallery) = (whole(q * d, 1), whole(n * d, 2));
        for (dtype, precision, _) in TYPES {
            let ((x, _), (y, _)) = (side(&queries, d, dtype), side(&gallery, d, dtype));
            for measure in [Measure::Dot, Measure::SquaredEuclidean] {
                for (k, mask) in [(1, Mask::All), (10, Mask::OffDiagonal), (300, Mask::All), (700, Mask::OffDiagonal)] {
                    let exclude = if matches!(mask, Mask::All) { Exclude::Nothing } else { Exclude::SameRow };
                    let near =
                        Rows::trusted(&queries, d).top_k(Rows::trusted(&gallery, d), measure, k, exclude).unwrap();
                    let want: Vec<Vec<(u32, f64)>> = (0..q)
                        .map(|i| near.indices(i).iter().copied().zip(near.similarity(i).iter().copied()).collect())
                        .collect();
                    let terms = Terms::of(measure, &x, &y).unwrap();
                    let search = Search { queries: &x, gallery: &y, terms: &terms, mask: &mask, precision };
                    // All at once, and so that rows are pruned on the way and queries come in blocks.
                    let small = search::Cut { columns: 256, slack: 16, rows: 128 };
                    for found in [search.run(chip, k).unwrap(), search.run_in(chip, k, &small).unwrap()] {
                        assert_eq!(wide(&found.status.to_dtype(DType::F64).unwrap()), [0.]);
                        assert_eq!(found_lists(&found), want, "{dtype:?} {measure} {k}");
                    }
                }
            }
        }
    });
}

#[test]
fn extremes_are_those_of_looking_at_all() {
    on_every_chip(|chip| {
        let (n, d) = if sanitized() { (130, 4) } else { (270, 4) };
        let values: Vec<f64> = numbers(n * d, 1, 2.).iter().map(|v| v.round()).collect();
        for (dtype, precision, _) in TYPES.into_iter().step_by(if sanitized() { 4 } else { 1 }) {
            let (x, _) = side(&values, d, dtype);
            for measure in [Measure::Dot, Measure::SquaredEuclidean] {
                let rows = Rows::trusted(&values, d);
                let pairs = crate::PairwiseSimilarity::new(rows, rows, measure);
                let masks = masks(n);
                for mask in if sanitized() { &masks[3..4] } else { &masks[..] } {
                    let terms = Terms::of(measure, &x, &x).unwrap();
                    let search = Search { queries: &x, gallery: &x, terms: &terms, mask, precision };
                    for farthest in [false, true] {
                        let Extremes { similarity, places } = search.extremes(chip, farthest).unwrap();
                        let (similarity, places) = (wide(&similarity), places.to_vec1::<u32>().unwrap());
                        for i in 0..n {
                            let best = (0..n)
                                .filter(|&j| mask.contains(i, j))
                                .map(|j| (j, pairs.similarity(i, j)))
                                .fold(None, |best: Option<(usize, f64)>, (j, s)| match best {
                                    Some((_, b)) if if farthest { s >= b } else { s <= b } => best,
                                    _ => Some((j, s)),
                                });
                            let got = (places[i] != u32::MAX).then(|| (places[i] as usize, similarity[i]));
                            assert_eq!(got, best, "{dtype:?} {measure} {mask:?} {farthest} {i}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_search_with_a_number_that_is_none() {
    on_every_chip(|chip| {
        let mut values = numbers(12, 5, 1.);
        values[3] = f64::INFINITY;
        let (x, _) = side(&values, 2, DType::F32);
        let terms = Terms::of(Measure::Dot, &x, &x).unwrap();
        let precision = Precision::Plain;
        let all = Search { queries: &x, gallery: &x, terms: &terms, mask: &Mask::All, precision };
        // Every query meets row 1, which is not finite; the last query is named.
        assert_eq!(all.run(chip, 2).unwrap().status.to_vec1::<u32>().unwrap(), [6]);
        let labels = Labels::new([0, 1, 0, 0, 0, 2]).unwrap();
        let mask = Mask::positives(&labels);
        let found = Search { mask: &mask, ..all }.extremes(chip, false).unwrap();
        let (near, places) = (wide(&found.similarity), found.places.to_vec1::<u32>().unwrap());
        // Row 1 has no other of its class, nor has row 5; the others do not meet it.
        assert!(near[1] == f64::NEG_INFINITY && near[5] == f64::NEG_INFINITY && near[0].is_finite());
        assert_eq!((places[1], places[5]), (u32::MAX, u32::MAX));
        let found = all.extremes(chip, true).unwrap();
        assert!(wide(&found.similarity).iter().all(|c| c.is_nan()));
        assert!(found.places.to_vec1::<u32>().unwrap().iter().all(|&p| p == u32::MAX));
    });
}

#[test]
fn what_candle_differentiates_is_the_cpus() {
    let (n, d) = (70, 12);
    let labels = Labels::new((0..n).map(|i| (i % 9) as u32)).unwrap();
    let (q, _) = side(&numbers(n * d, 1, 0.6), d, DType::F32);
    let (g, _) = side(&numbers(n * d, 2, 0.6), d, DType::F32);
    let run = |measure: Measure| {
        let (q, g) = (Var::from_tensor(&q).unwrap(), Var::from_tensor(&g).unwrap());
        let s = Similarity::new(q.as_tensor(), g.as_tensor(), measure).unwrap();
        let mean = s.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal).unwrap();
        let rows = s.log1p_sum_exp_above(&s.diagonal().unwrap(), &Mask::other_class(&labels, &labels)).unwrap();
        let rows =
            (rows.sqr().unwrap().mean_all().unwrap() + s.log_sum_exp(&Mask::All).unwrap().mean_all().unwrap()).unwrap();
        let loss = ((mean * 3.).unwrap() + rows).unwrap();
        let gradients = loss.backward().unwrap();
        let all = [&q, &g].map(|v| wide(gradients.get(v).unwrap()));
        (loss.to_scalar::<f32>().unwrap(), all)
    };
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        let (want, on_cpu) = run(measure);
        on_every_chip(|_| {
            let (got, found) = run(measure);
            assert!((got - want).abs() <= 1e-5 * want.abs(), "{measure}: {got} {want}");
            for (a, b) in found.iter().zip(&on_cpu) {
                assert!(distance(a, b, 0.) < 5e-5, "{measure}: {}", distance(a, b, 0.));
            }
        });
    }
}

#[test]
fn the_order_of_threads_does_not_matter() {
    for which in Which::ALL {
        // With a copy engine, more blocks of steps than there are stages, so that a stage is taken again.
        let n = if which == Which::Hopper && !sanitized() { 300 } else { 140 };
        let run = |reverse| {
            emulating(which, reverse, || {
                let chip = current().unwrap();
                let (x, _) = side(&numbers(n * 20, 3, 0.5), 20, DType::BF16);
                let soft = Soft {
                    kind: Kind::Log1pSumExp,
                    mask: &Mask::OffDiagonal,
                    queries: &x,
                    gallery: &x,
                    reference: Reference::Diagonal,
                    precision: Precision::Split,
                };
                let found = soft.run(&*chip, Wanted { queries: true, gallery: true }, Upstream::Each(1.)).unwrap();
                let terms = Terms::of(Measure::Dot, &x, &x).unwrap();
                let search = Search {
                    queries: &x,
                    gallery: &x,
                    terms: &terms,
                    mask: &Mask::OffDiagonal,
                    precision: Precision::Split,
                };
                let lists =
                    found_lists(&search.run_in(&*chip, 7, &search::Cut { columns: 256, slack: 8, rows: 128 }).unwrap());
                (wide(&found.results), wide(&found.queries.unwrap()), wide(&found.gallery.unwrap()), lists)
            })
        };
        assert_eq!(run(false), run(true));
    }
}

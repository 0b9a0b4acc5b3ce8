//! The matrix from above, by products of whole numbers of 8 bits: no entry is below the similarity, and how far it may be above is known.
//!
//! A row x becomes x' = s c with whole numbers c from -127 to 127, its largest entry over 127 as s. By Cauchy and Schwarz
//!
//! ```text
//! |x . y - x' . y'| <= |x - x'| |y| + |x'| |y - y'| <= d_x m_y + m_x d_y = e(x, y),    d = |x - x'|,  m = max(|x|, |x'|)
//! ```
//! and c_x . c_y is exact in whole numbers. Rows that lie around a point o are seen from there, since e grows with their lengths:
//!
//! ```text
//! x . y = (x - o) . (y - o) + h_x + h_y,    h_x = x . o - |o|^2 / 2,    or h_x = -|x - o|^2 for squared distances
//! ```
//! An entry is `f (x' . y' + e) + h_x + h_y + w_x + w_y`, f = 1, or 2 for squared distances; the similarity is between it and
//! `2 (f e + w_x + w_y)` less. The w are for what is rounded beside the whole numbers: with the roundoff u of f32 the entry's own terms
//! are off by 10 u of f m_x m_y and of the magnitudes of the h, rows that were moved or brought to length 1 by 5 u of the same, the
//! similarity itself, in f64, by less than u of them. So w is 32 u (`ROUNDED`) of a bound on |h|, and d has 32 u of m added.

use crate::product::{Left, multiply, transposed_as};
use crate::seen_from::{Moved, near_center};
use crate::tiles::{Matrix, Tile};
use crate::{Element, Rows};
use npair_simd::{Columns, Panels, Run, quad_rounded, vectorised};
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// For what is rounded outside of the whole numbers, beside a row's length: 32 units of roundoff of f32.
const ROUNDED: f64 = 32. / (1u64 << 24) as f64;

/// For what is rounded where bounds themselves are computed.
const OUTWARDS: f64 = 1. + 1e-6;

/// Sums of products of so many numbers fit in 32 bits, with and without a sign.
const WIDEST: usize = 1 << 15;

/// Rows of a task.
const TASK: usize = 256;

/// A side in whole numbers.
#[derive(Debug)]
pub(crate) struct Side<T> {
    /// Of every row its quads, with 128 added to each number.
    quads: Vec<T>,
    /// Values of a row in quads.
    steps: usize,
    terms: Terms<T>,
}

/// What every row adds to its entries.
#[derive(Debug)]
struct Terms<T> {
    /// s
    scales: Vec<T>,
    /// 128 times the sum of the whole numbers, which products of the other side are too large by.
    offsets: Vec<i32>,
    /// d
    lost: Vec<T>,
    /// m
    lengths: Vec<T>,
    /// -(h + w)
    depths: Vec<T>,
    /// w
    rounded: Vec<T>,
}

/// What a row adds to the entries beside its products, by its place and its squared length: h, and a bound on its magnitude.
type Height<'a> = &'a (dyn Fn(usize, f64) -> [f64; 2] + Sync);

impl<T: Element> Side<T> {
    fn of(rows: Rows<T>, height: Height) -> Self {
        let (width, steps) = (rows.width(), rows.width().div_ceil(4));
        let mut quads = vec![T::ZERO; rows.len() * steps];
        let parts: Vec<Terms<T>> = quads
            .par_chunks_mut(TASK * steps)
            .enumerate()
            .map(|(at, to)| {
                let mut terms = Terms::none();
                for (i, to) in (at * TASK..).zip(to.chunks_exact_mut(steps)) {
                    terms.push(rows.row(i), to, |square| height(i, square));
                }
                terms
            })
            .collect();
        let mut terms = Terms::none();
        parts.into_iter().for_each(|part| terms.append(part));
        debug_assert_eq!(quads.len() / steps, terms.scales.len(), "rows of {width}");
        Self { quads, steps, terms }
    }

    /// Some of the rows.
    fn some(&self, rows: &[usize]) -> Self {
        let quads = rows.iter().flat_map(|&i| &self.quads[i * self.steps..(i + 1) * self.steps]).copied().collect();
        Self { quads, steps: self.steps, terms: self.terms.some(rows) }
    }
}

impl<T: Element> Terms<T> {
    fn none() -> Self {
        let [scales, lost, lengths, depths, rounded] = [(); 5].map(|()| Vec::new());
        Self { scales, offsets: Vec::new(), lost, lengths, depths, rounded }
    }

    /// Those of a row, whose quads go to `to`.
    fn push(&mut self, row: &[T], to: &mut [T], height: impl Fn(f64) -> [f64; 2]) {
        let scale = (largest(row) / 127.) as f32;
        let (sum, kept, lost) = quad_rounded(row, scale, to);
        let square = squared(row);
        let length = square.max(kept).sqrt() * OUTWARDS;
        let [height, most] = height(square);
        let rounded = ROUNDED * most;
        self.scales.push(T::narrow(f64::from(scale)));
        self.offsets.push(128 * sum);
        self.lost.push(T::narrow((lost.sqrt() + ROUNDED * length) * OUTWARDS));
        self.lengths.push(T::narrow(length));
        self.depths.push(T::narrow(-(height + rounded)));
        self.rounded.push(T::narrow(rounded * OUTWARDS));
    }

    fn append(&mut self, mut other: Self) {
        self.scales.append(&mut other.scales);
        self.offsets.append(&mut other.offsets);
        self.lost.append(&mut other.lost);
        self.lengths.append(&mut other.lengths);
        self.depths.append(&mut other.depths);
        self.rounded.append(&mut other.rounded);
    }

    fn some(&self, rows: &[usize]) -> Self {
        let pick = |all: &[T]| rows.iter().map(|&i| all[i]).collect();
        Self {
            scales: pick(&self.scales),
            offsets: rows.iter().map(|&i| self.offsets[i]).collect(),
            lost: pick(&self.lost),
            lengths: pick(&self.lengths),
            depths: pick(&self.depths),
            rounded: pick(&self.rounded),
        }
    }
}

/// The matrix of two sides, from above.
#[derive(Debug, Clone)]
pub(crate) struct Coarse<T> {
    queries: Arc<Side<T>>,
    gallery: Arc<Side<T>>,
    /// How many times the products count.
    factor: f64,
}

impl<T: Element> Coarse<T> {
    /// Whether sides of this width have such a matrix.
    pub(crate) fn holds(width: usize) -> bool {
        width <= WIDEST && Columns::<T>::uniform_of_quads(1).is_some()
    }

    /// Of sides whose lengths are such that no product leaves the range of f32.
    pub(crate) fn new(queries: Rows<T>, gallery: Rows<T>, measure: Measure) -> Self {
        let center = near_center(queries, gallery);
        let moved = center.as_ref().map(|center| Moved::from(queries, gallery, center));
        let of = |side| Rows::trusted(side, queries.width());
        let [left, right] = match &moved {
            Some(moved) => [of(moved.queries()), of(moved.gallery())],
            None => [queries, gallery],
        };
        let center = center.unwrap_or_default();
        let away = squared(&center);
        let side = |came: Rows<T>, rows: Rows<T>| match measure {
            Measure::SquaredEuclidean => Side::of(rows, &|_, square| [-square, square]),
            // Of a row as it came; of no center nothing.
            _ => Side::of(rows, &|i, square| {
                let along: f64 = came.row(i).iter().zip(&center).map(|(v, c)| v.wide() * c.wide()).sum();
                [along - away / 2., square.sqrt() * away.sqrt() + away]
            }),
        };
        let itself = std::ptr::eq(queries.as_slice(), gallery.as_slice());
        let first = Arc::new(side(queries, left));
        let second = if itself { first.clone() } else { Arc::new(side(gallery, right)) };
        let factor = if measure == Measure::SquaredEuclidean { 2. } else { 1. };
        Self { queries: first, gallery: second, factor }
    }

    /// The same of some of the queries.
    pub(crate) fn of_queries(&self, queries: &[usize]) -> Self {
        Self { queries: Arc::new(self.queries.some(queries)), ..self.clone() }
    }

    /// The same of some rows of the gallery.
    pub(crate) fn of_gallery(&self, rows: &[usize]) -> Self {
        Self { gallery: Arc::new(self.gallery.some(rows)), ..self.clone() }
    }

    /// What a similarity is not below, of which the entry is known.
    pub(crate) fn least(&self, query: usize, row: usize, entry: T) -> T {
        let (q, g) = (&self.queries.terms, &self.gallery.terms);
        let wide = |all: &[T], i: usize| all[i].wide();
        let [length, other] = [wide(&q.lengths, query), wide(&g.lengths, row)];
        let products = self.factor * (wide(&q.lost, query) * other + length * wide(&g.lost, row));
        let above = 2. * (products + wide(&q.rounded, query) + wide(&g.rounded, row));
        T::narrow(entry.wide() - 1.01 * above)
    }
}

impl<T: Element> Matrix<T> for Coarse<T> {
    fn steps(&self) -> usize {
        self.gallery.steps
    }

    fn packed(&self, columns: Range<usize>) -> Panels<T> {
        let steps = self.gallery.steps;
        let rows = Rows::trusted(&self.gallery.quads[columns.start * steps..columns.end * steps], steps);
        // Numbers that have 128 added or not differ by their highest bit. A type without quads has no such matrix either.
        let panels = Columns::uniform_of_quads(rows.len()).unwrap_or_else(|| Columns::uniform(rows.len()));
        transposed_as(rows, panels, |quad| T::of_bits(quad.bits() as u32 ^ 0x8080_8080))
    }

    fn tiles(
        &self,
        rows: Range<usize>,
        first: usize,
        right: &Panels<T>,
        buffer: &mut Vec<T>,
        mut visit: impl FnMut(Tile<T>),
    ) {
        let Side { quads, steps, terms } = &*self.queries;
        let runs = [Run { start: 0, len: *steps, step: 1 }];
        let starts: Vec<usize> = rows.clone().map(|i| i * steps).collect();
        for (p, &(from, count, kernel)) in right.columns.panels.iter().enumerate() {
            let step = kernel.columns;
            buffer.resize(rows.len() * step, T::ZERO);
            let out_rows: Vec<usize> = (0..rows.len()).map(|i| i * step).collect();
            let left = Left { values: quads, rows: &starts, runs: &runs, out_rows: &out_rows };
            multiply(left, right, p..p + 1, 0, |_| 0, buffer, false);
            let columns = first + from..first + from + count;
            let lines = Lines {
                step,
                factor: T::narrow(self.factor),
                rows: (terms, rows.clone()),
                columns: (&self.gallery.terms, columns.clone()),
            };
            entries(buffer, &lines);
            visit(Tile { rows: rows.clone(), columns, step, values: buffer });
        }
    }
}

/// Which rows and columns lines are of.
struct Lines<'a, T> {
    step: usize,
    factor: T,
    rows: (&'a Terms<T>, Range<usize>),
    columns: (&'a Terms<T>, Range<usize>),
}

vectorised! {
    /// Products of whole numbers become entries.
    fn entries<T: Element>(values: &mut [T], lines: &Lines<T>) {
        let Lines { step, factor, rows: (q, rows), columns: (g, columns) } = lines;
        let columns = columns.clone();
        let (scales, offsets) = (&g.scales[columns.clone()], &g.offsets[columns.clone()]);
        let (lost, lengths, depths) = (&g.lost[columns.clone()], &g.lengths[columns.clone()], &g.depths[columns]);
        for (line, row) in values.chunks_exact_mut(*step).zip(rows.clone()) {
            let (scale, missing, length) = (*factor * q.scales[row], *factor * q.lost[row], *factor * q.lengths[row]);
            let depth = q.depths[row];
            let line = &mut line[..scales.len()];
            for j in 0..line.len() {
                let product = line[j].whole(offsets[j]) * (scale * scales[j]);
                let above = missing * lengths[j] + length * lost[j];
                line[j] = (product + above) - (depth + depths[j]);
            }
        }
    }

    /// The largest magnitude.
    fn largest<T: Element>(row: &[T]) -> f64 {
        let mut lanes = [T::ZERO; 16];
        for chunk in row.chunks(16) {
            for (most, &v) in lanes.iter_mut().zip(chunk) {
                let size = if v < T::ZERO { T::ZERO - v } else { v };
                *most = if size > *most { size } else { *most };
            }
        }
        lanes.iter().fold(0f64, |most, v| most.max(v.wide()))
    }

    /// The squared length.
    fn squared<T: Element>(row: &[T]) -> f64 {
        let mut lanes = [0f64; 16];
        for chunk in row.chunks(16) {
            for (sum, &v) in lanes.iter_mut().zip(chunk) {
                *sum += v.wide() * v.wide();
            }
        }
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pairwise::PairwiseSimilarity;
    use proptest::prelude::*;

    fn rows(len: usize, width: usize) -> impl Strategy<Value = Vec<f32>> {
        // Lengths of rows over many powers of ten, zero rows, and entries of which one is by far the largest.
        let row = (-8i32..8, 0u8..4, proptest::collection::vec(-1f32..1., width));
        let row = row.prop_map(|(size, kind, mut row)| {
            let scale = if kind == 0 { 0. } else { 10f32.powi(size) };
            row[0] *= if kind == 1 { 1000. } else { 1. };
            row.iter_mut().for_each(|v| *v *= scale);
            row
        });
        proptest::collection::vec(row, len).prop_map(|rows| rows.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_similarity_is_between_its_bounds(
            (q, g, width) in (1usize..20, 1usize..90, 1usize..70)
                .prop_flat_map(|(q, g, width)| (rows(q, width), rows(g, width), Just(width))),
        ) {
            let (queries, gallery) = (Rows::new(&q, width).unwrap(), Rows::new(&g, width).unwrap());
            // Around the origin, and around another point.
            let (far, also) = ([&q, &g].map(|side| side.iter().map(|v| v + 3.).collect::<Vec<f32>>()), [queries, gallery]);
            let moved = far.each_ref().map(|side| Rows::new(side, width).unwrap());
            let both = [also, moved].map(|sides| [Measure::Dot, Measure::SquaredEuclidean].map(|m| (sides, m)));
            for ([queries, gallery], measure) in both.into_iter().flatten() {
                let (coarse, pairs) =
                    (Coarse::new(queries, gallery, measure), PairwiseSimilarity::new(queries, gallery, measure));
                let mut met = 0;
                coarse.tiles(0..queries.len(), 0, &coarse.packed(0..gallery.len()), &mut Vec::new(), |tile| {
                    for (i, line) in tile.lines() {
                        for (j, &entry) in tile.columns.clone().zip(line) {
                            let similarity = pairs.similarity(i, j);
                            let least = coarse.least(i, j, entry);
                            assert!(f64::from(entry) >= similarity, "{entry} {similarity}");
                            assert!(f64::from(least) <= similarity, "{least} {similarity}");
                            met += 1;
                        }
                    }
                });
                prop_assert_eq!(met, queries.len() * gallery.len());
            }
        }
    }

    #[test]
    fn bounds_are_near() {
        let x: Vec<f32> = (0..64 * 512).map(|i| ((i * 7919 + i / 512 * 31) % 2003) as f32 / 1001. - 1.).collect();
        let rows = Rows::new(&x, 512).unwrap();
        let coarse = Coarse::new(rows, rows, Measure::Dot);
        let pairs = PairwiseSimilarity::new(rows, rows, Measure::Dot);
        coarse.tiles(0..64, 0, &coarse.packed(0..64), &mut Vec::new(), |tile| {
            for (i, line) in tile.lines() {
                for (j, &entry) in tile.columns.clone().zip(line) {
                    // A hundredth of both lengths.
                    let lengths = (pairs.similarity(i, i) * pairs.similarity(j, j)).sqrt();
                    assert!(f64::from(entry) - pairs.similarity(i, j) <= 0.016 * lengths);
                }
            }
        });
    }
}

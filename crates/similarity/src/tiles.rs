use crate::pairwise::squared_distance;
use crate::product::{Left, multiply, transposed};
use crate::seen_from::{Moved, center};
use crate::{Element, Rows};
use npair_simd::{Panels, Run, vectorised};
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a task: a multiple of the rows of every register tile. Fixed, so that no result depends on the number of threads.
const ROWS: usize = 168;

/// Values of the gallery that are packed at a time.
const PACKED: usize = 1 << 21;

/// Squared distances below this share of both squared lengths are taken again, from differences: the product has cancelled then.
const NEAR: f64 = 1. / 128.;

/// The matrix of two sides under a measure, made tile by tile.
///
/// Squared distances are products of sides seen from a point amid them where they are far from the origin, and differences of
/// rows where those are near to each other: a distance keeps its digits wherever the rows are.
pub(crate) struct Tiles<'a, T> {
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    measure: Measure,
    /// What products are made of, if it is not the sides as they came.
    moved: Option<Moved<T>>,
    /// Cosine: 1 / |row|, 0 for a zero row. Squared distance: |row|^2. Dot: nothing. Of the sides that products are made of.
    query_norms: Vec<f64>,
    gallery_norms: Vec<f64>,
    /// Whether near rows are compared again.
    refined: bool,
}

/// A matrix that is made tile by tile.
pub(crate) trait Matrix<T>: Sync {
    /// Values of a row of the gallery that are packed.
    fn steps(&self) -> usize;

    /// Some rows of the gallery as the right factor.
    fn packed(&self, columns: Range<usize>) -> Panels<T>;

    /// The tiles of some queries and what is packed of the gallery from row `first` on, columns ascending.
    fn tiles(
        &self,
        rows: Range<usize>,
        first: usize,
        right: &Panels<T>,
        buffer: &mut Vec<T>,
        visit: impl FnMut(Tile<T>),
    );
}

/// One tile: similarity of `rows` x `columns`, one row after the other, `step` apart.
pub(crate) struct Tile<'t, T> {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// From one row to the next.
    pub(crate) step: usize,
    pub(crate) values: &'t [T],
}

impl<T> Tile<'_, T> {
    /// The tile's part of every row: (row number, values from `columns.start` on).
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.rows.clone().zip(self.values.chunks(self.step).map(|line| &line[..self.columns.len()]))
    }
}

impl<'a, T: Element> Tiles<'a, T> {
    /// Both sides have to be of one width.
    pub(crate) fn new(queries: Rows<'a, T>, gallery: Rows<'a, T>, measure: Measure) -> Self {
        Self::seen_from(queries, gallery, measure, center(queries, gallery, measure).as_deref())
    }

    /// The same of sides for which a [`center`] was found before: parts of one matrix have to be seen from one point.
    pub(crate) fn seen_from(
        queries: Rows<'a, T>,
        gallery: Rows<'a, T>,
        measure: Measure,
        center: Option<&[T]>,
    ) -> Self {
        let squares = |side: Rows<T>| -> Vec<f64> {
            let of = |i| side.row(i).iter().map(|v| v.wide() * v.wide()).sum::<f64>();
            (0..side.len()).into_par_iter().map(of).collect()
        };
        let own = if measure == Measure::Dot { [Vec::new(), Vec::new()] } else { [queries, gallery].map(squares) };
        let tame = |side: Rows<T>, squares: &[f64]| squares.iter().zip(0..).all(|(&s, i)| is_tame(s, side.row(i)));
        let moved = match measure {
            Measure::Dot => None,
            Measure::Cosine if tame(queries, &own[0]) && tame(gallery, &own[1]) => None,
            Measure::Cosine => Some(Moved::to_scale(queries, gallery)),
            Measure::SquaredEuclidean => center.map(|center| Moved::from(queries, gallery, center)),
        };
        let squares = match &moved {
            None => own,
            Some(m) => [m.queries(), m.gallery()].map(|side| squares(Rows::trusted(side, queries.width()))),
        };
        let inverse = |s: f64| if s > 0. { 1. / s.sqrt() } else { 0. };
        let [query_norms, gallery_norms] = match measure {
            Measure::Cosine => squares.map(|side| side.into_iter().map(inverse).collect()),
            _ => squares,
        };
        Self { queries, gallery, measure, moved, query_norms, gallery_norms, refined: true }
    }

    /// The same without a second look at near rows, for those who look again by themselves.
    pub(crate) fn unrefined(self) -> Self {
        Self { refined: false, ..self }
    }

    /// Squared lengths of the sides that squared distances are made of, and whether these were moved.
    pub(crate) fn squares(&self) -> ([&[f64]; 2], bool) {
        ([&self.query_norms, &self.gallery_norms], self.moved.is_some())
    }

    /// Folds every block of rows over its tiles, columns ascending; blocks run in parallel and come back in order.
    pub(crate) fn by_rows<A: Send>(
        &self,
        start: impl Fn(Range<usize>) -> A + Sync,
        visit: impl Fn(&mut A, Tile<T>) + Sync,
    ) -> Vec<A> {
        let rows = blocks(self.queries.len(), ROWS);
        let mut states: Vec<A> = rows.par_iter().map(|rows| start(rows.clone())).collect();
        for columns in blocks(self.gallery.len(), (PACKED / self.gallery.width()).clamp(64, 1 << 14)) {
            let right = self.packed(columns.clone());
            let tasks = states.par_iter_mut().zip(&rows);
            tasks.for_each_init(Vec::new, |buffer, (state, rows)| {
                self.tiles(rows.clone(), columns.start, &right, buffer, |tile| visit(state, tile));
            });
        }
        states
    }

    /// Squared distances of near rows from their differences.
    fn refine(&self, lines: &mut [T], step: usize, first: usize, from: usize, norms: [&[f64]; 2]) {
        let [rows, columns] = norms;
        for (i, (line, &row)) in lines.chunks_exact_mut(step).zip(rows).enumerate() {
            for (j, (v, &column)) in line.iter_mut().zip(columns).enumerate() {
                if is_near(v.wide(), row, column) {
                    let (a, b) = (self.queries.row(first + i), self.gallery.row(from + j));
                    *v = T::narrow(-squared_distance(a, b));
                }
            }
        }
    }
}

impl<T: Element> Matrix<T> for Tiles<'_, T> {
    fn steps(&self) -> usize {
        self.gallery.width()
    }

    fn packed(&self, columns: Range<usize>) -> Panels<T> {
        let width = self.gallery.width();
        let gallery = self.moved.as_ref().map_or(self.gallery.as_slice(), Moved::gallery);
        transposed(Rows::trusted(&gallery[columns.start * width..columns.end * width], width))
    }

    fn tiles(
        &self,
        rows: Range<usize>,
        first: usize,
        right: &Panels<T>,
        buffer: &mut Vec<T>,
        mut visit: impl FnMut(Tile<T>),
    ) {
        let width = self.queries.width();
        let runs = [Run { start: 0, len: width, step: 1 }];
        let starts: Vec<usize> = rows.clone().map(|i| i * width).collect();
        let values = self.moved.as_ref().map_or(self.queries.as_slice(), Moved::queries);
        for (p, &(from, count, kernel)) in right.columns.panels.iter().enumerate() {
            let step = kernel.columns;
            buffer.resize(rows.len() * step, T::ZERO);
            let out_rows: Vec<usize> = (0..rows.len()).map(|i| i * step).collect();
            let left = Left { values, rows: &starts, runs: &runs, out_rows: &out_rows };
            multiply(left, right, p..p + 1, 0, |_| 0, buffer, false);
            let columns = first + from..first + from + count;
            match self.measure {
                Measure::Dot => {}
                Measure::Cosine => {
                    cosines(buffer, step, &self.query_norms[rows.clone()], &self.gallery_norms[columns.clone()]);
                }
                Measure::SquaredEuclidean => {
                    let norms = [&self.query_norms[rows.clone()], &self.gallery_norms[columns.clone()]];
                    if distances(buffer, step, norms) && self.refined {
                        self.refine(buffer, step, rows.start, columns.start, norms);
                    }
                }
            }
            visit(Tile { rows: rows.clone(), columns, step, values: buffer });
        }
    }
}

/// Whether a row's square is far enough from the ends of the number type for products to keep their digits.
pub(crate) fn is_tame<T: Element>(square: f64, row: &[T]) -> bool {
    let range = if T::EPSILON > f64::EPSILON { 1e-24..=1e24 } else { 1e-240..=1e240 };
    range.contains(&square) || square == 0. && row.iter().all(|v| v.wide() == 0.)
}

/// Whether a similarity is that of rows so near that the product has cancelled.
#[inline(always)]
fn is_near(similarity: f64, row: f64, column: f64) -> bool {
    -similarity < NEAR * (row + column)
}

/// The cosine of two rows by their inner product and reciprocal lengths: the same bits whichever comes first, and no step
/// leaves the range of f64 where lengths do not.
#[inline(always)]
fn cosine(product: f64, row: f64, column: f64) -> f64 {
    (product * row.max(column) * row.min(column)).clamp(-1., 1.)
}

vectorised! {
    /// Inner products become cosines: norms are reciprocal lengths.
    fn cosines<T: Element>(lines: &mut [T], step: usize, rows: &[f64], columns: &[f64]) {
        for (line, &row) in lines.chunks_exact_mut(step).zip(rows) {
            for (v, &column) in line.iter_mut().zip(columns) {
                *v = T::narrow(cosine(v.wide(), row, column));
            }
        }
    }

    /// Inner products become negative squared distances: norms are squared lengths of rows and columns. Rounding may put equal
    /// rows a hair on the wrong side of 0. The same bits whichever of the sides comes first. Whether some rows are near.
    fn distances<T: Element>(lines: &mut [T], step: usize, norms: [&[f64]; 2]) -> bool {
        let [rows, columns] = norms;
        let mut some = false;
        for (line, &row) in lines.chunks_exact_mut(step).zip(rows) {
            for (v, &column) in line.iter_mut().zip(columns) {
                let similarity = (2. * v.wide() - (row + column)).min(0.);
                some |= is_near(similarity, row, column);
                *v = T::narrow(similarity);
            }
        }
        some
    }
}

/// `0..len` in blocks of `size`, the last one perhaps smaller.
pub(crate) fn blocks(len: usize, size: usize) -> Vec<Range<usize>> {
    (0..len).step_by(size).map(|start| start..(start + size).min(len)).collect()
}

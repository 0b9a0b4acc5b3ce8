use crate::product::{Left, multiply, transposed};
use crate::{Element, Rows};
use npair_simd::{Panels, Run, vectorised};
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a task: a multiple of the rows of every register tile. Fixed, so that no result depends on the number of threads.
const ROWS: usize = 168;

/// Values of the gallery that are packed at a time.
const PACKED: usize = 1 << 21;

/// The matrix of two sides under a measure, made tile by tile.
pub(crate) struct Tiles<'a, T> {
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    measure: Measure,
    /// Cosine: 1 / |row|, 0 for a zero row. Squared distance: |row|^2. Dot: nothing.
    query_norms: Vec<f64>,
    gallery_norms: Vec<f64>,
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
        let norms = |side: Rows<'a, T>| -> Vec<f64> {
            let squares =
                (0..side.len()).into_par_iter().map(|i| side.row(i).iter().map(|v| v.wide() * v.wide()).sum::<f64>());
            match measure {
                Measure::Dot => Vec::new(),
                Measure::Cosine => squares.map(|s| if s > 0. { 1. / s.sqrt() } else { 0. }).collect(),
                Measure::SquaredEuclidean => squares.collect(),
            }
        };
        Self { queries, gallery, measure, query_norms: norms(queries), gallery_norms: norms(gallery) }
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

    /// Some rows of the gallery as the right factor.
    pub(crate) fn packed(&self, columns: Range<usize>) -> Panels<T> {
        transposed(Rows::trusted(self.gallery.range(columns), self.gallery.width()))
    }

    /// The tiles of some queries and what is packed of the gallery from row `first` on, columns ascending.
    pub(crate) fn tiles(
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
        for (p, &(from, count, kernel)) in right.columns.panels.iter().enumerate() {
            let step = kernel.columns;
            buffer.resize(rows.len() * step, T::ZERO);
            let out_rows: Vec<usize> = (0..rows.len()).map(|i| i * step).collect();
            let left = Left { values: self.queries.as_slice(), rows: &starts, runs: &runs, out_rows: &out_rows };
            multiply(left, right, p..p + 1, 0, |_| 0, buffer, false);
            let columns = first + from..first + from + count;
            match self.measure {
                Measure::Dot => {}
                Measure::Cosine => {
                    cosines(buffer, step, &self.query_norms[rows.clone()], &self.gallery_norms[columns.clone()]);
                }
                Measure::SquaredEuclidean => {
                    distances(buffer, step, &self.query_norms[rows.clone()], &self.gallery_norms[columns.clone()]);
                }
            }
            visit(Tile { rows: rows.clone(), columns, step, values: buffer });
        }
    }
}

/// The cosine of two rows by their inner product and reciprocal lengths: the same bits whichever comes first, and no step
/// leaves the range of f64 where lengths do not.
#[inline(always)]
pub(crate) fn cosine(product: f64, row: f64, column: f64) -> f64 {
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

    /// Inner products become negative squared distances: norms are squared lengths. Rounding may put equal rows a hair on
    /// the wrong side of 0. The same bits whichever of the sides comes first.
    fn distances<T: Element>(lines: &mut [T], step: usize, rows: &[f64], columns: &[f64]) {
        for (line, &row) in lines.chunks_exact_mut(step).zip(rows) {
            for (v, &column) in line.iter_mut().zip(columns) {
                *v = T::narrow((2. * v.wide() - (row + column)).min(0.));
            }
        }
    }
}

/// `0..len` in blocks of `size`, the last one perhaps smaller.
pub(crate) fn blocks(len: usize, size: usize) -> Vec<Range<usize>> {
    (0..len).step_by(size).map(|start| start..(start + size).min(len)).collect()
}

use crate::product::{View, product};
use crate::{Element, Rows};
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of a tile. Fixed, so that no result depends on the number of threads.
const BLOCK: usize = 64;
const TILE: usize = 512;

/// The matrix of two sides under a measure, made tile by tile.
pub(crate) struct Tiles<'a, T> {
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    measure: Measure,
    /// Cosine: 1 / |row|, 0 for a zero row. Squared distance: |row|^2. Dot: nothing.
    query_norms: Vec<f64>,
    gallery_norms: Vec<f64>,
}

/// One tile: closeness of `rows` x `columns`, one row after the other.
pub(crate) struct Tile<'t, T> {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) values: &'t mut [T],
}

impl<T> Tile<'_, T> {
    /// The tile's part of every row: (row number, values from `columns.start` on).
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.rows.clone().zip(self.values.chunks_exact(self.columns.len()))
    }
}

impl<'a, T: Element> Tiles<'a, T> {
    /// Both sides have to be of one width.
    pub(crate) fn new(queries: Rows<'a, T>, gallery: Rows<'a, T>, measure: Measure) -> Self {
        let norms = |side: Rows<'a, T>| -> Vec<f64> {
            let squares = (0..side.len()).map(|i| side.row(i).iter().map(|v| v.wide() * v.wide()).sum::<f64>());
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
        let blocks = blocks(self.queries.len(), BLOCK);
        blocks
            .into_par_iter()
            .map(|rows| {
                let mut state = start(rows.clone());
                let mut buffer = vec![T::ZERO; rows.len() * TILE];
                for columns in blocks_iter(self.gallery.len(), TILE) {
                    let values = &mut buffer[..rows.len() * columns.len()];
                    self.fill(values, &rows, &columns);
                    visit(&mut state, Tile { rows: rows.clone(), columns, values });
                }
                state
            })
            .collect()
    }

    fn fill(&self, values: &mut [T], rows: &Range<usize>, columns: &Range<usize>) {
        let width = self.queries.width();
        let q = View::new(self.queries.range(rows.clone()), rows.len(), width);
        let g = View::new(self.gallery.range(columns.clone()), columns.len(), width);
        product(values, q, g.transposed(), false);
        if self.measure == Measure::Dot {
            return;
        }
        let g_norms = &self.gallery_norms[columns.clone()];
        for (line, &q_norm) in values.chunks_exact_mut(columns.len()).zip(&self.query_norms[rows.clone()]) {
            for (v, &g_norm) in line.iter_mut().zip(g_norms) {
                let dot = v.wide();
                *v = T::narrow(match self.measure {
                    Measure::Cosine => (dot * q_norm * g_norm).clamp(-1., 1.),
                    // Rounding may put equal rows a hair on the wrong side of 0.
                    _ => (2. * dot - q_norm - g_norm).min(0.),
                });
            }
        }
    }
}

fn blocks_iter(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |start| start..(start + size).min(len))
}

fn blocks(len: usize, size: usize) -> Vec<Range<usize>> {
    blocks_iter(len, size).collect()
}

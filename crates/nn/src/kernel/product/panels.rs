use super::Aligned;
use super::tile::Kernel;
use crate::kernel::Element;
use crate::kernel::simd::Level;
use rayon::prelude::*;

/// Columns of a product, cut into panels of a few registers' width each.
#[derive(Clone)]
pub(crate) struct Columns<T> {
    /// (first column, columns, code)
    pub panels: Vec<(usize, usize, Kernel<T>)>,
}

impl<T: Element> Columns<T> {
    /// `columns` columns in as few panels as will do, all of nearly the same width.
    pub(crate) fn new(columns: usize) -> Self {
        Self::with(Level::detect(), columns)
    }

    pub(crate) fn with(level: Level, columns: usize) -> Self {
        let lanes = Kernel::<T>::of(level, 1).columns;
        let vectors = columns.div_ceil(lanes);
        let count = vectors.div_ceil(T::widest(level)).max(1);
        let cut = |p: usize| p * vectors / count;
        let panel = |p: usize| {
            let (from, to) = (cut(p), cut(p + 1));
            (from * lanes, columns.min(to * lanes) - from * lanes, Kernel::of(level, to - from))
        };
        Self { panels: (0..count).map(panel).filter(|p| p.1 > 0).collect() }
    }
}

/// A right factor of a product in memory as the kernels read it: panel by panel, row by row, filled up with zeros.
pub(crate) struct Panels<T> {
    pub columns: Columns<T>,
    /// Rows of the factor: steps of the sum.
    pub steps: usize,
    data: Aligned<T>,
    starts: Vec<usize>,
}

impl<T: Element> Panels<T> {
    /// `fill(first column, columns, width, values)` writes a panel: `values` is (steps, width), zeros so far, and only
    /// the first columns of every row are used.
    pub(crate) fn new(columns: Columns<T>, steps: usize, fill: impl Fn(usize, usize, usize, &mut [T]) + Sync) -> Self {
        let mut starts = vec![0];
        for (.., kernel) in &columns.panels {
            starts.push(starts[starts.len() - 1] + kernel.columns * steps);
        }
        let mut data = Aligned::zeros(starts[starts.len() - 1]);
        let mut parts = Vec::with_capacity(columns.panels.len());
        let mut rest = data.values_mut();
        for &(first, count, kernel) in &columns.panels {
            let (panel, after) = rest.split_at_mut(kernel.columns * steps);
            rest = after;
            parts.push((first, count, kernel.columns, panel));
        }
        parts.into_par_iter().for_each(|(first, count, width, values)| fill(first, count, width, values));
        Self { columns, steps, data, starts }
    }

    /// The values of a panel.
    pub(crate) fn panel(&self, at: usize) -> &[T] {
        &self.data.values()[self.starts[at]..self.starts[at + 1]]
    }
}

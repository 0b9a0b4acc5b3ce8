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
    data: Vec<Aligned<T>>,
}

impl<T: Element> Panels<T> {
    /// `fill(first column, columns, width, values)` writes a panel: `values` is (steps, width), zeros so far, and only
    /// the first columns of every row are used.
    pub(crate) fn new(columns: Columns<T>, steps: usize, fill: impl Fn(usize, usize, usize, &mut [T]) + Sync) -> Self {
        let make = |&(first, count, kernel): &(usize, usize, Kernel<T>)| {
            let mut panel = Aligned::zeros(kernel.columns * steps);
            fill(first, count, kernel.columns, panel.values_mut());
            panel
        };
        let data = columns.panels.par_iter().map(make).collect();
        Self { columns, steps, data }
    }

    /// The values of a panel.
    pub(crate) fn panel(&self, at: usize) -> &[T] {
        self.data[at].values()
    }
}

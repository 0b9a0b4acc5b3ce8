use crate::{Aligned, Element, Kernel, Level, tile};
use rayon::prelude::*;

/// Columns of a product, cut into panels of a few registers' width each.
#[derive(Clone)]
pub struct Columns<T> {
    /// (first column, columns, code)
    pub panels: Vec<(usize, usize, Kernel<T>)>,
}

impl<T: Element> Columns<T> {
    /// `columns` columns in as few panels as will do, all of nearly the same width.
    pub fn new(columns: usize) -> Self {
        Self::cut(columns, Kernel::of, tile::widest(Level::detect()))
    }

    /// The same for factors in pairs of bf16 ([`pair_neighbours`](crate::pair_neighbours)); f64 has none. On machines that do not multiply
    /// pairs ([`pairs_can_be_multiplied`](crate::pairs_can_be_multiplied)) in plain Rust, slowly.
    pub fn of_pairs(columns: usize) -> Option<Self> {
        T::kernels_of_pairs().map(|(kernel, widest)| Self::cut(columns, kernel, widest))
    }

    /// Panels of at most `widest` registers, of which a kernel knows its number.
    fn cut(columns: usize, kernel: impl Fn(usize) -> Kernel<T>, widest: usize) -> Self {
        let lanes = kernel(1).columns;
        let vectors = columns.div_ceil(lanes);
        let count = vectors.div_ceil(widest).max(1);
        let cut = |p: usize| p * vectors / count;
        let panel = |p: usize| {
            let (from, to) = (cut(p), cut(p + 1));
            (from * lanes, columns.min(to * lanes) - from * lanes, kernel(to - from))
        };
        Self { panels: (0..count).filter(|&p| cut(p) < cut(p + 1)).map(panel).collect() }
    }

    /// The same in panels that are all of one width, the last one perhaps with fewer columns in use.
    pub fn uniform(columns: usize) -> Self {
        Self::cut_evenly(columns, Kernel::of, tile::widest(Level::detect()))
    }

    /// The same for factors in quads of whole numbers ([`quad_rounded`](crate::quad_rounded)); f64 has none. On machines that do not
    /// multiply quads ([`quads_can_be_multiplied`](crate::quads_can_be_multiplied)) in plain Rust, slowly.
    pub fn uniform_of_quads(columns: usize) -> Option<Self> {
        T::kernels_of_quads().map(|(kernel, widest)| Self::cut_evenly(columns, kernel, widest))
    }

    fn cut_evenly(columns: usize, kernel: impl Fn(usize) -> Kernel<T>, widest: usize) -> Self {
        let lanes = kernel(1).columns;
        let vectors = columns.div_ceil(lanes).max(1);
        let each = vectors.div_ceil(vectors.div_ceil(widest));
        let width = each * lanes;
        let panel = |first: usize| (first, width.min(columns - first), kernel(each));
        Self { panels: (0..columns).step_by(width).map(panel).collect() }
    }
}

/// A right factor of a product in memory as the kernels read it: panel by panel, row by row, filled up with zeros.
pub struct Panels<T> {
    /// How the columns are cut.
    pub columns: Columns<T>,
    /// Rows of the factor: steps of the sum.
    pub steps: usize,
    data: Vec<Aligned<T>>,
}

impl<T: Element> Panels<T> {
    /// `fill(first column, columns, width, values)` writes a panel: `values` is (steps, width), zeros so far, and only
    /// the first columns of every row are used.
    pub fn new(columns: Columns<T>, steps: usize, fill: impl Fn(usize, usize, usize, &mut [T]) + Sync) -> Self {
        let make = |&(first, count, kernel): &(usize, usize, Kernel<T>)| {
            let mut panel = Aligned::zeros(kernel.columns * steps);
            fill(first, count, kernel.columns, panel.values_mut());
            panel
        };
        let data = columns.panels.par_iter().map(make).collect();
        Self { columns, steps, data }
    }

    /// The values of a panel.
    pub fn panel(&self, at: usize) -> &[T] {
        self.data[at].values()
    }
}

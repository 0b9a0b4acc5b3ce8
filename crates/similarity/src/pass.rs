//! One pass over the matrix that gives the rows' results and, where they are wanted, the gradients of both sides: every
//! product is taken once.

use crate::product::{View, product};
use crate::vectors::{exps, largest, scale, softplus};
use crate::{Element, Mask, Rows};
use rayon::prelude::*;

/// What becomes of a row `s` of inner products above its reference `o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `log sum exp(s - o)`
    LogSumExp,
    /// `log(1 + sum exp(s - o))`
    Log1pSumExp,
    /// `sum log(1 + exp(s - o))`
    SoftplusSum,
}

/// What a row's entries are measured from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reference<'a, T> {
    /// One number per row, with a gradient of its own.
    Given(&'a [T]),
    /// The row's entry on the diagonal, whose gradient is one of the matrix.
    Diagonal,
}

/// Rows whose weights live at a time, and entries that they may have: 128 MiB of f32. All sizes are fixed or depend on the
/// shape alone, so that no bit depends on the number of threads.
const WAVE: usize = 2048;
const ENTRIES: usize = 1 << 25;
/// Rows of one task: eight tasks in a wave, and enough rows in each to pay for packing the other side.
const BLOCK: std::ops::RangeInclusive<usize> = 128..=256;
/// Columns of one task of the second gradient.
const COLUMNS: usize = 256;

/// Which gradients are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) queries: bool,
    pub(crate) gallery: bool,
    pub(crate) reference: bool,
}

/// What a pass found.
pub(crate) struct Found<T> {
    /// A number per row.
    pub(crate) results: Vec<f64>,
    /// Gradients of `sum_i u_i result_i`; empty where not wanted.
    pub(crate) queries: Vec<T>,
    pub(crate) gallery: Vec<T>,
    pub(crate) reference: Vec<f64>,
}

/// The reduction of every row of `queries gallery^T` under a mask.
pub(crate) struct Pass<'a, T> {
    pub(crate) kind: Kind,
    pub(crate) mask: &'a Mask,
    pub(crate) queries: Rows<'a, T>,
    pub(crate) gallery: Rows<'a, T>,
    pub(crate) reference: Reference<'a, T>,
}

impl<T: Element> Pass<'_, T> {
    /// Runs it; the gradients are those of `sum_i upstream(i) result_i`.
    ///
    /// A wave of rows at a time: its logits become, in place, the weights of the entries. Its blocks of rows give their
    /// part of the queries' gradient; then ranges of columns add the wave's part to the gallery's, in the order of the
    /// waves. Beside the gradients that is memory for one wave, whatever the number of threads.
    pub(crate) fn run(&self, wanted: Wanted, upstream: impl Fn(usize) -> f64 + Sync) -> Found<T> {
        let (rows, columns, width) = (self.queries.len(), self.gallery.len(), self.queries.width());
        let room = |wanted: bool, n: usize| if wanted { n } else { 0 };
        let mut found = Found {
            results: vec![0.; rows],
            queries: vec![T::ZERO; room(wanted.queries, rows * width)],
            gallery: vec![T::ZERO; room(wanted.gallery, columns * width)],
            reference: vec![0.; rows],
        };
        let wave = (ENTRIES / columns.max(1)).clamp(16, WAVE).min(rows);
        let block = (wave / 8).clamp(*BLOCK.start(), *BLOCK.end());
        let mut buffer = vec![T::ZERO; wave * columns];
        for start in (0..rows).step_by(wave.max(1)) {
            let end = (start + wave).min(rows);
            let weights = &mut buffer[..(end - start) * columns];
            self.rows(start..end, block, weights, wanted, &upstream, &mut found);
            if wanted.gallery {
                let queries = View::new(self.queries.range(start..end), end - start, width);
                found.gallery.par_chunks_mut(COLUMNS * width).enumerate().for_each(|(i, grad)| {
                    let part = i * COLUMNS..i * COLUMNS + grad.len() / width;
                    product(grad, View::columns(weights, columns, part).transposed(), queries, start > 0);
                });
            }
        }
        found
    }

    /// Results, weights and the queries' gradient of some rows, block by block.
    fn rows(
        &self,
        rows: std::ops::Range<usize>,
        block: usize,
        weights: &mut [T],
        wanted: Wanted,
        upstream: &(impl Fn(usize) -> f64 + Sync),
        found: &mut Found<T>,
    ) {
        let (columns, width) = (self.gallery.len(), self.queries.width());
        let gallery = View::new(self.gallery.as_slice(), columns, width);
        let mut weights = weights.chunks_mut((block * columns).max(1));
        let mut grads = found.queries.get_mut(rows.start * width..).unwrap_or_default().chunks_mut(block * width);
        let tasks: Vec<_> = found.results[rows.clone()]
            .chunks_mut(block)
            .zip(found.reference[rows.clone()].chunks_mut(block))
            .zip(rows.clone().step_by(block))
            .map(|((results, below), first)| {
                (first, results, below, weights.next().unwrap_or_default(), grads.next().unwrap_or_default())
            })
            .collect();
        let with_gradient = wanted.queries || wanted.gallery || wanted.reference;
        tasks.into_par_iter().for_each(|(first, results, below, logits, grad)| {
            let n = results.len();
            let queries = View::new(self.queries.range(first..first + n), n, width);
            product(logits, queries, gallery.transposed(), false);
            for (i, (result, below)) in results.iter_mut().zip(below).enumerate() {
                let (row, line) = (first + i, &mut logits[i * columns..(i + 1) * columns]);
                let (value, share) = self.reduce(row, line);
                *result = value;
                if !with_gradient {
                    continue;
                }
                let sum = scale(line, T::narrow(share * upstream(row)));
                *below = -sum;
                if matches!(self.reference, Reference::Diagonal) {
                    line[row] = T::narrow(line[row].wide() - sum);
                }
            }
            if wanted.queries {
                product(&mut grad[..n * width], View::new(logits, n, columns), gallery, false);
            }
        });
    }

    /// The result of one row; the logits become values that are its derivatives when multiplied by the second number.
    fn reduce(&self, row: usize, line: &mut [T]) -> (f64, f64) {
        let above = match self.reference {
            Reference::Given(o) => o[row],
            Reference::Diagonal => line[row],
        };
        self.mask.hide(row, line);
        if self.kind == Kind::SoftplusSum {
            return (softplus(line, above), 1.);
        }
        let most = largest(line);
        // The 1 is the entry exp(0).
        let one = self.kind == Kind::Log1pSumExp;
        let base = if one && most <= above { above } else { most };
        if base == T::LOWEST {
            // No entry takes part. A NaN is none, and is told from that; no reference is minus infinity.
            let bad = one || line.iter().any(|v| v.wide().is_nan());
            line.fill(T::ZERO);
            return (if bad { f64::NAN } else { f64::NEG_INFINITY }, 0.);
        }
        let sum = exps(line, base);
        if !one {
            return (base.wide() - above.wide() + sum.ln(), 1. / sum);
        }
        let shift = base.wide() - above.wide();
        if shift == 0. {
            // Below the 1 nothing has to be shifted: keep the digits of a small sum.
            return (sum.ln_1p(), 1. / (1. + sum));
        }
        let all = sum + (-shift).exp();
        (shift + all.ln(), 1. / all)
    }
}

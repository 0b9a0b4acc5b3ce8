//! Some columns of a matrix.

use super::{Element, fill_by_chunks};
use rayon::prelude::*;

/// Rows that a task copies.
const ROWS: usize = 256;

/// Writes a matrix of `width` columns as columns `from..` of one with `total`.
pub(crate) fn scatter<T: Element>(x: &[T], width: usize, out: &mut [T], total: usize, from: usize) {
    if width == 0 || total == 0 {
        return;
    }
    out.par_chunks_mut(total * ROWS).zip(x.par_chunks(width * ROWS)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(total).zip(x.chunks_exact(width)) {
            out[from..from + width].copy_from_slice(x);
        }
    });
}

/// Columns `from..from + width` of a matrix with `total`.
pub(crate) fn gather<T: Element>(x: &[T], total: usize, from: usize, width: usize) -> Vec<T> {
    let rows = x.len().checked_div(total).unwrap_or(0);
    fill_by_chunks(rows * width, width * ROWS, |at, out| {
        let x = x[at / width * total..].chunks_exact(total);
        for (out, x) in out.chunks_exact_mut(width).zip(x) {
            out.copy_from_slice(&x[from..from + width]);
        }
    })
}

/// The transpose of every one of the matrices (rows, columns) that stand one after the other.
pub(crate) fn transpose<T: Element>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    /// Side of the squares that are turned at one time.
    const SIDE: usize = 16;
    fill_by_chunks(x.len(), rows * columns, |at, out| {
        let x = &x[at..at + out.len()];
        for top in (0..rows).step_by(SIDE) {
            for left in (0..columns).step_by(SIDE) {
                for r in top..rows.min(top + SIDE) {
                    for c in left..columns.min(left + SIDE) {
                        out[c * rows + r] = x[r * columns + c];
                    }
                }
            }
        }
    })
}

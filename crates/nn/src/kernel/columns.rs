//! Some columns of a matrix.

use super::{Element, write_by_chunks};
use std::mem::MaybeUninit;

/// Rows that a task copies.
const ROWS: usize = 256;

/// Matrices of the given widths side by side.
pub(crate) fn concat<T: Element>(parts: &[(&[T], usize)], rows: usize) -> Vec<T> {
    let total: usize = parts.iter().map(|p| p.1).sum();
    assert!(parts.iter().all(|(x, width)| x.len() == rows * width), "matrices of {rows} rows");
    let write = |at: usize, out: &mut [MaybeUninit<T>]| {
        for (row, out) in (at / total..).zip(out.chunks_exact_mut(total)) {
            let mut rest = out;
            for (x, width) in parts {
                let (to, after) = rest.split_at_mut(*width);
                copy(&x[row * width..][..*width], to);
                rest = after;
            }
        }
    };
    // SAFETY: the widths add up to a row, so all of it is written.
    unsafe { write_by_chunks(rows * total, total * ROWS, write) }
}

/// Columns `from..from + width` of a matrix with `total`.
pub(crate) fn slice<T: Element>(x: &[T], total: usize, from: usize, width: usize) -> Vec<T> {
    let rows = x.len().checked_div(total).unwrap_or(0);
    let write = |at: usize, out: &mut [MaybeUninit<T>]| {
        let x = x[at / width * total..].chunks_exact(total);
        for (out, x) in out.chunks_exact_mut(width).zip(x) {
            copy(&x[from..from + width], out);
        }
    };
    // SAFETY: chunks are whole rows, and there are as many of `x`.
    unsafe { write_by_chunks(rows * width, width * ROWS, write) }
}

fn copy<T: Element>(from: &[T], to: &mut [MaybeUninit<T>]) {
    for (to, &from) in to.iter_mut().zip(from) {
        to.write(from);
    }
}

/// The transpose of every one of the matrices (rows, columns) that stand one after the other.
pub(crate) fn transpose<T: Element>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    /// Side of the squares that are turned at one time.
    const SIDE: usize = 16;
    let write = |at: usize, out: &mut [MaybeUninit<T>]| {
        let x = &x[at..at + out.len()];
        for top in (0..rows).step_by(SIDE) {
            for left in (0..columns).step_by(SIDE) {
                for r in top..rows.min(top + SIDE) {
                    for c in left..columns.min(left + SIDE) {
                        out[c * rows + r].write(x[r * columns + c]);
                    }
                }
            }
        }
    };
    assert!(x.len().is_multiple_of((rows * columns).max(1)));
    // SAFETY: chunks are whole matrices (asserted above), and every entry is written.
    unsafe { write_by_chunks(x.len(), rows * columns, write) }
}

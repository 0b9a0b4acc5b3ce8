//! Products of rows by the register tile of `npair-simd`: the right factor is packed once, the rows of the left one are
//! read where they lie.

use crate::{Element, Rows};
use npair_simd::{Columns, Epilogue, Panels, Run, Tile, blocks};
use std::ops::Range;

/// Steps of a sum that are taken for all rows before the next ones: so many rows of a panel stay in the second cache, and
/// adding to what was there costs little.
const STEPS: usize = 256;

/// Roundings that a product of so many steps passes through at most: those of its part, and one for each part that is added.
pub(crate) fn roundings(steps: usize) -> usize {
    steps.min(STEPS) + 1 + steps.div_ceil(STEPS)
}

/// Rows of a panel that are transposed at a time, which is a cache line of f32.
const LINE: usize = 16;

/// A side as the right factor of `x y^T`: a column of the product for every row, as many steps as a row has entries.
pub(crate) fn transposed<T: Element>(rows: Rows<T>) -> Panels<T> {
    transposed_as(rows, Columns::uniform(rows.len()), |v| v)
}

/// The same in given panels, of what `f` makes of the entries.
pub(crate) fn transposed_as<T: Element>(rows: Rows<T>, panels: Columns<T>, f: impl Fn(T) -> T + Sync) -> Panels<T> {
    let (data, width) = (rows.as_slice(), rows.width());
    Panels::new(panels, width, |first, count, columns, to| {
        let rows = &data[first * width..(first + count) * width];
        for from in (0..width).step_by(LINE) {
            let steps = from..width.min(from + LINE);
            for (n, row) in rows.chunks_exact(width).enumerate() {
                for s in steps.clone() {
                    to[s * columns + n] = f(row[s]);
                }
            }
        }
    })
}

/// A side as the right factor of `w x`: a step for every row, each times a factor of its own.
pub(crate) fn upright<T: Element>(rows: Rows<T>, factor: impl Fn(usize) -> T + Sync) -> Panels<T> {
    let (data, width) = (rows.as_slice(), rows.width());
    Panels::new(Columns::new(width), rows.len(), |first, count, columns, to| {
        for (i, (row, to)) in data.chunks_exact(width).zip(to.chunks_exact_mut(columns)).enumerate() {
            let factor = factor(i);
            for (to, &v) in to.iter_mut().zip(&row[first..first + count]) {
                *to = v * factor;
            }
        }
    })
}

/// The left factor of a product, and where its rows go.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    /// Where it lies.
    pub(crate) values: &'a [T],
    /// Where each of its rows starts.
    pub(crate) rows: &'a [usize],
    /// The entries of a row.
    pub(crate) runs: &'a [Run],
    /// Where each row of the result starts.
    pub(crate) out_rows: &'a [usize],
}

/// `out[out_rows[j] + place(p) + c] (+)= sum over steps s of left[j][s] right[from + s][column c of panel p]`, on the
/// calling thread, for some panels.
#[allow(clippy::too_many_arguments, reason = "a product: two sides, their ranges and its place")]
pub(crate) fn multiply<T: Element>(
    left: Left<T>,
    right: &Panels<T>,
    panels: Range<usize>,
    from: usize,
    place: impl Fn(usize) -> usize,
    out: &mut [T],
    add: bool,
) {
    let mut step = from;
    for (at, runs) in blocks(left.runs, STEPS).iter().enumerate() {
        let epilogue = if add || at > 0 { Epilogue::ADD } else { Epilogue::STORE };
        for p in panels.clone() {
            let (_, columns, kernel) = right.columns.panels[p];
            let (y, y_step) = (&right.panel(p)[step * kernel.columns..], kernel.columns);
            let mut moved = [0; 16];
            for (rows, out_rows) in left.rows.chunks(kernel.rows).zip(left.out_rows.chunks(kernel.rows)) {
                let moved = &mut moved[..rows.len()];
                for (to, row) in moved.iter_mut().zip(out_rows) {
                    *to = row + place(p);
                }
                let x = left.values;
                kernel.run(&Tile { x, rows, runs, y, y_step, ahead: &[], out_rows: moved, columns, epilogue }, out);
            }
        }
        step += npair_simd::steps(runs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, so that sums are exact in any order.
    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7 + 3) % 11) as f64 - 5.).collect()
    }

    #[test]
    fn rows_times_rows() {
        for (rows, columns, width) in [(1, 1, 1), (5, 70, 3), (20, 33, 300)] {
            let (a, b) = (numbers(rows * width), numbers(columns * width));
            let right = transposed(Rows::trusted(&b, width));
            let starts: Vec<usize> = (0..rows).map(|i| i * width).collect();
            let to: Vec<usize> = (0..rows).map(|i| i * columns).collect();
            let runs = [Run { start: 0, len: width, step: 1 }];
            let left = Left { values: &a, rows: &starts, runs: &runs, out_rows: &to };
            let mut out = vec![1.; rows * columns];
            let all = 0..right.columns.panels.len();
            for add in [false, true] {
                multiply(left, &right, all.clone(), 0, |p| right.columns.panels[p].0, &mut out, add);
            }
            for i in 0..rows {
                for j in 0..columns {
                    let dot: f64 = (0..width).map(|s| a[i * width + s] * b[j * width + s]).sum();
                    assert_eq!(out[i * columns + j], 2. * dot, "{rows} {columns} {width}: {i} {j}");
                }
            }
        }
    }

    #[test]
    fn weights_times_rows_from_a_step_on() {
        let (n, width) = (300, 7);
        let (w, b) = (numbers(2 * n), numbers(n * width));
        let right = upright(Rows::trusted(&b, width), |i| if i % 2 == 0 { 1. } else { 2. });
        let runs = [Run { start: 0, len: n - 150, step: 1 }];
        let left = Left { values: &w, rows: &[150, n + 150], runs: &runs, out_rows: &[0, width] };
        let mut out = vec![0.; 2 * width];
        multiply(left, &right, 0..right.columns.panels.len(), 150, |p| right.columns.panels[p].0, &mut out, false);
        for i in 0..2 {
            for c in 0..width {
                let terms = (150..n).map(|s| w[i * n + s] * b[s * width + c] * if s % 2 == 0 { 1. } else { 2. });
                assert_eq!(out[i * width + c], terms.sum::<f64>());
            }
        }
    }
}

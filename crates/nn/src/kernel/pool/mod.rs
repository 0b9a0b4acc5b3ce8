//! Maxima and means over windows of images (B, H, W, C).

mod window;

pub(crate) use window::Window;

use super::{Element, Unwritten, fill_by_chunks, write_by_chunks, written};
use npair_simd::vectorised;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Largest value of every window, and which of the window's indices it stood at: the first of several in the order of
/// rows; a NaN counts as larger than everything and the last of several wins (both as in PyTorch). Indices are numbered
/// row by row in a window that is not cut at the edges.
pub(crate) fn max<T: Element>(w: &Window, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let len = w.batch * w.map_pixels() * w.channels;
    let (mut out, mut indices) = (Unwritten::new(len), Unwritten::new(len));
    let line = (w.map.1 * w.channels).max(1);
    let lines = out.values_mut().par_chunks_mut(line).zip(indices.values_mut().par_chunks_mut(line));
    lines.enumerate().for_each(|(row, (out, indices))| {
        for (j, (out, indices)) in
            out.chunks_exact_mut(w.channels).zip(indices.chunks_exact_mut(w.channels)).enumerate()
        {
            let mut pixels = pixels(w, x, row, j);
            // Windows are not empty.
            let Some((here, values)) = pixels.next() else { continue };
            copy(values, out);
            indices.fill(MaybeUninit::new(here));
            // SAFETY: all have just been written.
            let (out, indices) = unsafe { (written(out), written(indices)) };
            for (here, values) in pixels {
                raise(values, here, out, indices);
            }
        }
    });
    // SAFETY: every window has a pixel, so every value has been written.
    unsafe { (out.written(), indices.written()) }
}

vectorised! {
    /// Takes the values that are larger than those so far.
    fn raise<T: Element>(values: &[T], here: u32, out: &mut [T], indices: &mut [u32]) {
        let len = values.len().min(out.len()).min(indices.len());
        let (values, out, indices) = (&values[..len], &mut out[..len], &mut indices[..len]);
        for c in 0..len {
            let better = (values[c] > out[c]) | values[c].is_nan();
            out[c] = if better { values[c] } else { out[c] };
            indices[c] = if better { here } else { indices[c] };
        }
    }

    fn raise_values<T: Element>(values: &[T], out: &mut [T]) {
        for (o, &v) in out.iter_mut().zip(values) {
            *o = if (v > *o) | v.is_nan() { v } else { *o };
        }
    }

    /// Adds `grad` where the maximum stood at `here`.
    fn give<T: Element>(here: u32, indices: &[u32], grad: &[T], dx: &mut [T]) {
        for ((d, &p), &g) in dx.iter_mut().zip(indices).zip(grad) {
            *d += if p == here { g } else { T::ZERO };
        }
    }

    fn add<T: Element>(values: &[T], out: &mut [T]) {
        for (o, &v) in out.iter_mut().zip(values) {
            *o += v;
        }
    }

    fn add_share<T: Element>(grad: &[T], share: T, dx: &mut [T]) {
        for (d, &g) in dx.iter_mut().zip(grad) {
            *d += g * share;
        }
    }
}

fn copy<T: Element>(from: &[T], to: &mut [MaybeUninit<T>]) {
    for (to, &from) in to.iter_mut().zip(from) {
        to.write(from);
    }
}

/// The largest values alone.
pub(crate) fn max_values<T: Element>(w: &Window, x: &[T]) -> Vec<T> {
    let write = |at: usize, out: &mut [MaybeUninit<T>]| {
        let row = at / (w.map.1 * w.channels);
        for (j, out) in out.chunks_exact_mut(w.channels).enumerate() {
            let mut pixels = pixels(w, x, row, j);
            let Some((_, values)) = pixels.next() else { continue };
            copy(values, out);
            // SAFETY: all have just been written.
            let out = unsafe { written(out) };
            for (_, values) in pixels {
                raise_values(values, out);
            }
        }
    };
    // SAFETY: every window has a pixel, so every value is written.
    unsafe { write_by_chunks(w.batch * w.map_pixels() * w.channels, w.map.1 * w.channels, write) }
}

/// The pixels of window `j` in row `row` of the maps, each with its index.
#[inline(always)]
fn pixels<'a, T>(w: &'a Window, x: &'a [T], row: usize, j: usize) -> impl Iterator<Item = (u32, &'a [T])> {
    let (c, b, i) = (w.channels, row / w.map.0, row % w.map.0);
    let image = &x[b * w.pixels() * c..][..w.pixels() * c];
    let (rows, columns) = w.of(i, j);
    let row = move |y: usize| (columns.0..columns.1).map(move |x| (y, x));
    (rows.0..rows.1).flat_map(row).map(move |(y, x)| (index(w, (i, j), (y, x)), &image[(y * w.image.1 + x) * c..][..c]))
}

fn index(w: &Window, (i, j): (usize, usize), (y, x): (usize, usize)) -> u32 {
    let (down, across) = (y + w.padding.0 - i * w.stride.0, x + w.padding.1 - j * w.stride.1);
    (down * w.kernel.1 + across) as u32
}

/// Gradient of [`max`] from the gradient of its values and their indices.
pub(crate) fn max_gradient<T: Element>(w: &Window, indices: &[u32], grad: &[T]) -> Vec<T> {
    gather(w, |dx, window, (down, across)| {
        let here = (down * w.kernel.1 + across) as u32;
        let at = window * w.channels;
        give(here, &indices[at..at + w.channels], &grad[at..at + w.channels], dx);
    })
}

/// Mean of every window.
pub(crate) fn mean<T: Element>(w: &Window, x: &[T], count_padding: bool) -> Vec<T> {
    let c = w.channels;
    fill_by_chunks(w.batch * w.map_pixels() * c, w.map.1 * c, |at, out| {
        let row = at / (w.map.1 * c);
        let (b, i) = (row / w.map.0, row % w.map.0);
        let image = &x[b * w.pixels() * c..][..w.pixels() * c];
        for (j, out) in out.chunks_exact_mut(c).enumerate() {
            let (rows, columns) = w.of(i, j);
            for y in rows.0..rows.1 {
                let line = &image[(y * w.image.1 + columns.0) * c..(y * w.image.1 + columns.1) * c];
                line.chunks_exact(c).for_each(|values| add(values, out));
            }
            let share = T::from_f64(1. / w.share((i, j), count_padding));
            for o in out {
                *o *= share;
            }
        }
    })
}

/// Gradient of [`mean`].
pub(crate) fn mean_gradient<T: Element>(w: &Window, grad: &[T], count_padding: bool) -> Vec<T> {
    gather(w, |dx, window, _| {
        let at = window % w.map_pixels();
        let share = T::from_f64(1. / w.share((at / w.map.1, at % w.map.1), count_padding));
        add_share(&grad[window * w.channels..][..w.channels], share, dx);
    })
}

/// For every pixel, `f(its gradient, window, index in the window)` for all windows that it lies in, in their order: so
/// tasks share nothing.
fn gather<T: Element>(w: &Window, f: impl Fn(&mut [T], usize, (usize, usize)) + Sync) -> Vec<T> {
    let c = w.channels;
    let columns: Vec<_> =
        (0..w.image.1).map(|x| Window::over(x, w.kernel.1, w.stride.1, w.padding.1, w.map.1)).collect();
    fill_by_chunks(w.batch * w.pixels() * c, w.image.1 * c, |at, dx| {
        let row = at / (w.image.1 * c);
        let (b, y) = (row / w.image.0, row % w.image.0);
        let rows = Window::over(y, w.kernel.0, w.stride.0, w.padding.0, w.map.0);
        for (dx, columns) in dx.chunks_exact_mut(c).zip(&columns) {
            for &(i, down) in &rows {
                for &(j, across) in columns {
                    f(dx, (b * w.map.0 + i) * w.map.1 + j, (down, across));
                }
            }
        }
    })
}

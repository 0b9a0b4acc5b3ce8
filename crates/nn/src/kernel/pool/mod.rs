//! Maxima and means over windows of images (B, H, W, C).

mod window;

pub(crate) use window::Window;

use super::{Element, Unwritten, fill_by_chunks, simd, write_by_chunks, written};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Largest value of every window, and which of the window's places it stood at: the first of several in the order of
/// rows; a NaN counts as larger than everything and the last of several wins (both as in PyTorch). Places are numbered
/// row by row in a window that is not cut at the edges.
pub(crate) fn max<T: Element>(w: &Window, x: &[T]) -> (Vec<T>, Vec<u32>) {
    let len = w.batch * w.map_pixels() * w.channels;
    let (mut out, mut places) = (Unwritten::new(len), Unwritten::new(len));
    let line = (w.map.1 * w.channels).max(1);
    let lines = out.values_mut().par_chunks_mut(line).zip(places.values_mut().par_chunks_mut(line));
    lines.enumerate().for_each(|(row, (out, places))| {
        simd::run(|| {
            for (j, (out, places)) in
                out.chunks_exact_mut(w.channels).zip(places.chunks_exact_mut(w.channels)).enumerate()
            {
                let mut pixels = pixels(w, x, row, j);
                // Windows are not empty.
                let Some((here, values)) = pixels.next() else { continue };
                for ((o, p), &v) in out.iter_mut().zip(places.iter_mut()).zip(values) {
                    o.write(v);
                    p.write(here);
                }
                // SAFETY: all have just been written.
                let (out, places) = unsafe { (written(out), written(places)) };
                for (here, values) in pixels {
                    for ((o, p), &v) in out.iter_mut().zip(places.iter_mut()).zip(values) {
                        let better = (v > *o) | v.is_nan();
                        *o = if better { v } else { *o };
                        *p = if better { here } else { *p };
                    }
                }
            }
        });
    });
    // SAFETY: every window has a pixel, so every value has been written.
    unsafe { (out.written(), places.written()) }
}

/// The largest values alone.
pub(crate) fn max_values<T: Element>(w: &Window, x: &[T]) -> Vec<T> {
    let write = |at: usize, out: &mut [MaybeUninit<T>]| {
        let row = at / (w.map.1 * w.channels);
        simd::run(|| {
            for (j, out) in out.chunks_exact_mut(w.channels).enumerate() {
                let mut pixels = pixels(w, x, row, j);
                let Some((_, values)) = pixels.next() else { continue };
                for (o, &v) in out.iter_mut().zip(values) {
                    o.write(v);
                }
                // SAFETY: all have just been written.
                let out = unsafe { written(out) };
                for (_, values) in pixels {
                    for (o, &v) in out.iter_mut().zip(values) {
                        *o = if (v > *o) | v.is_nan() { v } else { *o };
                    }
                }
            }
        });
    };
    // SAFETY: every window has a pixel, so every value is written.
    unsafe { write_by_chunks(w.batch * w.map_pixels() * w.channels, w.map.1 * w.channels, write) }
}

/// The pixels of window `j` in row `row` of the maps, each with its place.
#[inline(always)]
fn pixels<'a, T>(w: &'a Window, x: &'a [T], row: usize, j: usize) -> impl Iterator<Item = (u32, &'a [T])> {
    let (c, b, i) = (w.channels, row / w.map.0, row % w.map.0);
    let image = &x[b * w.pixels() * c..][..w.pixels() * c];
    let (rows, columns) = w.of(i, j);
    let row = move |y: usize| (columns.0..columns.1).map(move |x| (y, x));
    (rows.0..rows.1).flat_map(row).map(move |(y, x)| (place(w, (i, j), (y, x)), &image[(y * w.image.1 + x) * c..][..c]))
}

fn place(w: &Window, (i, j): (usize, usize), (y, x): (usize, usize)) -> u32 {
    let (down, across) = (y + w.padding.0 - i * w.stride.0, x + w.padding.1 - j * w.stride.1);
    (down * w.kernel.1 + across) as u32
}

/// Gradient of [`max`] from the gradient of its values and their places.
pub(crate) fn max_gradient<T: Element>(w: &Window, places: &[u32], grad: &[T]) -> Vec<T> {
    gather(w, |dx, window, (down, across)| {
        let here = (down * w.kernel.1 + across) as u32;
        let at = window * w.channels;
        let (places, grad) = (&places[at..at + w.channels], &grad[at..at + w.channels]);
        for ((d, &p), &g) in dx.iter_mut().zip(places).zip(grad) {
            *d += if p == here { g } else { T::ZERO };
        }
    })
}

/// Mean of every window.
pub(crate) fn mean<T: Element>(w: &Window, x: &[T], count_padding: bool) -> Vec<T> {
    let c = w.channels;
    fill_by_chunks(w.batch * w.map_pixels() * c, w.map.1 * c, |at, out| {
        let row = at / (w.map.1 * c);
        let (b, i) = (row / w.map.0, row % w.map.0);
        let image = &x[b * w.pixels() * c..][..w.pixels() * c];
        simd::run(|| {
            for (j, out) in out.chunks_exact_mut(c).enumerate() {
                let (rows, columns) = w.of(i, j);
                for y in rows.0..rows.1 {
                    for values in
                        image[(y * w.image.1 + columns.0) * c..(y * w.image.1 + columns.1) * c].chunks_exact(c)
                    {
                        for (o, &v) in out.iter_mut().zip(values) {
                            *o += v;
                        }
                    }
                }
                let share = T::from_f64(1. / w.share((i, j), count_padding));
                for o in out {
                    *o *= share;
                }
            }
        });
    })
}

/// Gradient of [`mean`].
pub(crate) fn mean_gradient<T: Element>(w: &Window, grad: &[T], count_padding: bool) -> Vec<T> {
    gather(w, |dx, window, _| {
        let at = window % w.map_pixels();
        let share = T::from_f64(1. / w.share((at / w.map.1, at % w.map.1), count_padding));
        for (d, &g) in dx.iter_mut().zip(&grad[window * w.channels..][..w.channels]) {
            *d += g * share;
        }
    })
}

/// For every pixel, `f(its gradient, window, place in the window)` for all windows that it lies in, in their order: so
/// tasks share nothing.
fn gather<T: Element>(w: &Window, f: impl Fn(&mut [T], usize, (usize, usize)) + Sync) -> Vec<T> {
    let c = w.channels;
    let columns: Vec<_> =
        (0..w.image.1).map(|x| Window::over(x, w.kernel.1, w.stride.1, w.padding.1, w.map.1)).collect();
    fill_by_chunks(w.batch * w.pixels() * c, w.image.1 * c, |at, dx| {
        let row = at / (w.image.1 * c);
        let (b, y) = (row / w.image.0, row % w.image.0);
        let rows = Window::over(y, w.kernel.0, w.stride.0, w.padding.0, w.map.0);
        simd::run(|| {
            for (dx, columns) in dx.chunks_exact_mut(c).zip(&columns) {
                for &(i, down) in &rows {
                    for &(j, across) in columns {
                        f(dx, (b * w.map.0 + i) * w.map.1 + j, (down, across));
                    }
                }
            }
        });
    })
}

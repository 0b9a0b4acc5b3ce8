//! Maxima and means over windows of planes.

mod window;

pub(crate) use window::Window;

use super::Element;
use rayon::prelude::*;

/// Largest value of every window.
pub(crate) fn max<T: Element>(w: &Window, x: &[T]) -> Vec<T> {
    map(w, x, |plane, out| {
        for ((rows, columns), out) in w.windows().zip(out) {
            *out = plane[first_maximum(w, plane, rows, columns)];
        }
    })
}

/// Gradient of [`max`]: each goes to the first maximum of its window, in the order of rows (as in PyTorch).
pub(crate) fn max_gradient<T: Element>(w: &Window, x: &[T], grad: &[T]) -> Vec<T> {
    let mut dx = vec![T::ZERO; x.len()];
    if dx.is_empty() {
        return dx;
    }
    let planes = dx.par_chunks_mut(w.pixels()).zip(x.par_chunks(w.pixels())).zip(grad.par_chunks(w.map_pixels()));
    planes.with_min_len(16).for_each(|((dx, x), grad)| {
        for ((rows, columns), &g) in w.windows().zip(grad) {
            dx[first_maximum(w, x, rows, columns)] += g;
        }
    });
    dx
}

/// Where the first maximum of a window is; a NaN counts as larger than everything, and the last of several wins, as in
/// PyTorch.
fn first_maximum<T: Element>(w: &Window, plane: &[T], rows: (usize, usize), columns: (usize, usize)) -> usize {
    let (mut best, mut at) = (T::NEG_INFINITY, rows.0 * w.image.1 + columns.0);
    for y in rows.0..rows.1 {
        for x in columns.0..columns.1 {
            let value = plane[y * w.image.1 + x];
            if value > best || value.is_nan() {
                (best, at) = (value, y * w.image.1 + x);
            }
        }
    }
    at
}

/// Mean of every window.
pub(crate) fn mean<T: Element>(w: &Window, x: &[T], count_padding: bool) -> Vec<T> {
    map(w, x, |plane, out| {
        for (at, ((rows, columns), out)) in w.windows().zip(out).enumerate() {
            let mut sum = T::ZERO;
            for y in rows.0..rows.1 {
                for &value in &plane[y * w.image.1..][columns.0..columns.1] {
                    sum += value;
                }
            }
            *out = sum / T::from_f64(w.share(at, count_padding));
        }
    })
}

/// Gradient of [`mean`].
pub(crate) fn mean_gradient<T: Element>(w: &Window, grad: &[T], count_padding: bool) -> Vec<T> {
    let mut dx = vec![T::ZERO; w.planes * w.pixels()];
    if dx.is_empty() {
        return dx;
    }
    let planes = dx.par_chunks_mut(w.pixels()).zip(grad.par_chunks(w.map_pixels()));
    planes.with_min_len(16).for_each(|(dx, grad)| {
        for (at, ((rows, columns), &g)) in w.windows().zip(grad).enumerate() {
            let part = g / T::from_f64(w.share(at, count_padding));
            for y in rows.0..rows.1 {
                for d in &mut dx[y * w.image.1..][columns.0..columns.1] {
                    *d += part;
                }
            }
        }
    });
    dx
}

/// Makes every output plane from its input plane.
fn map<T: Element>(w: &Window, x: &[T], f: impl Fn(&[T], &mut [T]) + Sync) -> Vec<T> {
    let mut out = vec![T::ZERO; w.planes * w.map_pixels()];
    if !out.is_empty() {
        let planes = out.par_chunks_mut(w.map_pixels()).zip(x.par_chunks(w.pixels()));
        planes.with_min_len(16).for_each(|(out, x)| f(x, out));
    }
    out
}

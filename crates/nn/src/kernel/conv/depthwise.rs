//! Convolution of every channel by itself: sums along the channels, which lie side by side.

use super::{Affine, Geometry};
use crate::kernel::{Element, parts};
use npair_simd::vectorised;
use rayon::prelude::*;

/// Parts that the weight gradient is summed over first.
const PARTS: usize = 16;

/// For every tap that is inside the image for output pixel (i, j): its number and the input pixel.
fn taps(g: &Geometry, i: usize, j: usize) -> impl Iterator<Item = (usize, usize)> {
    let g = *g;
    let along = |at: usize, k: usize, s: usize, d: usize, p: usize, extent: usize| {
        (at * s + k * d).checked_sub(p).filter(|&v| v < extent)
    };
    (0..g.kernel.0).flat_map(move |ky| {
        let y = along(i, ky, g.stride.0, g.dilation.0, g.padding.0, g.image.0);
        (0..g.kernel.1).filter_map(move |kx| {
            let x = along(j, kx, g.stride.1, g.dilation.1, g.padding.1, g.image.1);
            Some((ky * g.kernel.1 + kx, y? * g.image.1 + x?))
        })
    })
}

/// Weights (C, 1, kh, kw) as (tap, channel), scaled.
fn by_tap<T: Element>(g: &Geometry, w: &[T], scale: Option<&[T]>) -> Vec<T> {
    let count = g.kernel.0 * g.kernel.1;
    let mut out = vec![T::ZERO; w.len()];
    for (c, weights) in w.chunks_exact(count).enumerate() {
        for (tap, &weight) in weights.iter().enumerate() {
            out[tap * g.inputs + c] = scale.map_or(weight, |s| s[c] * weight);
        }
    }
    out
}

pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], affine: Affine<T>) -> Vec<T> {
    let c = g.inputs;
    let w = by_tap(g, w, affine.scale);
    let mut out = vec![T::ZERO; g.batch * g.map_pixels() * c];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(g.map.1 * c).enumerate().for_each(|(row, out)| {
        let (b, i) = (row / g.map.0, row % g.map.0);
        let image = &x[b * g.pixels() * c..][..g.pixels() * c];
        for (j, out) in out.chunks_exact_mut(c).enumerate() {
            if let Some(bias) = affine.bias {
                out.copy_from_slice(bias);
            }
            for (tap, pixel) in taps(g, i, j) {
                add_products(&image[pixel * c..][..c], &w[tap * c..][..c], out);
            }
            if let Some(plus) = affine.plus {
                let from = (row * g.map.1 + j) * c;
                for (o, &p) in out.iter_mut().zip(&plus[from..from + c]) {
                    *o += p;
                }
            }
            if affine.relu {
                for o in out {
                    *o = if *o < T::ZERO { T::ZERO } else { *o };
                }
            }
        }
    });
    out
}

pub(super) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dout: &[T]) -> Vec<T> {
    let c = g.inputs;
    let w = by_tap(g, w, None);
    let mut dx = vec![T::ZERO; g.batch * g.pixels() * c];
    if dx.is_empty() {
        return dx;
    }
    // One task per row of the input's gradient: the outputs that see it, and through which tap.
    let along = |at: usize, k: usize, s: usize, d: usize, p: usize, extent: usize| {
        let from = (at + p).checked_sub(k * d)?;
        (from.is_multiple_of(s) && from / s < extent).then_some(from / s)
    };
    dx.par_chunks_mut(g.image.1 * c).enumerate().for_each(|(row, dx)| {
        let (b, y) = (row / g.image.0, row % g.image.0);
        let dout = &dout[b * g.map_pixels() * c..][..g.map_pixels() * c];
        for (x, dx) in dx.chunks_exact_mut(c).enumerate() {
            for ky in 0..g.kernel.0 {
                let Some(i) = along(y, ky, g.stride.0, g.dilation.0, g.padding.0, g.map.0) else { continue };
                for kx in 0..g.kernel.1 {
                    let Some(j) = along(x, kx, g.stride.1, g.dilation.1, g.padding.1, g.map.1) else { continue };
                    let w = &w[(ky * g.kernel.1 + kx) * c..][..c];
                    let dout = &dout[(i * g.map.1 + j) * c..][..c];
                    add_products(dout, w, dx);
                }
            }
        }
    });
    dx
}

pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dout: &[T]) -> Vec<T> {
    let (c, count) = (g.inputs, g.kernel.0 * g.kernel.1);
    let sum_of = |rows: std::ops::Range<usize>| {
        let mut sum = vec![T::ZERO; count * c];
        for row in rows {
            let (b, i) = (row / g.map.0, row % g.map.0);
            let image = &x[b * g.pixels() * c..][..g.pixels() * c];
            let dout = &dout[row * g.map.1 * c..][..g.map.1 * c];
            for (j, dout) in dout.chunks_exact(c).enumerate() {
                for (tap, pixel) in taps(g, i, j) {
                    add_products(&image[pixel * c..][..c], dout, &mut sum[tap * c..][..c]);
                }
            }
        }
        sum
    };
    let sums: Vec<Vec<T>> = parts(g.batch * g.map.0, PARTS).into_par_iter().map(sum_of).collect();
    let mut dw = vec![T::ZERO; count * c];
    for sum in sums {
        for tap in 0..count {
            for channel in 0..c {
                dw[channel * count + tap] += sum[tap * c + channel];
            }
        }
    }
    dw
}

vectorised! {
    fn add_products<T: Element>(a: &[T], b: &[T], sums: &mut [T]) {
        for ((s, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    }
}

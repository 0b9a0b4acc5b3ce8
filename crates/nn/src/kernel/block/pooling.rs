//! What happens to one channel's long row between convolution and result.

use super::Block;
use crate::kernel::conv::direct::Part;
use crate::kernel::norm::{Affine, lanes};

/// No value of the window is positive: its gradient goes nowhere.
pub(super) const NONE: u8 = 4;

/// Count, mean and centred sum of squares over the pixels (mask 1).
#[inline(always)]
pub(super) fn moments(long: &[f32], mask: &[f32], count: f64) -> [f64; 3] {
    // A first mean as in `norm::moments`: everything else is relative to it.
    let centre = (lanes(long, mask, |v, m| v * m) / count) as f32;
    let rest = lanes(long, mask, |v, m| (v - centre) * m);
    let squares = lanes(long, mask, |v, m| (v - centre) * (v - centre) * m) - rest * rest / count;
    [count, f64::from(centre) + rest / count, squares.max(0.)]
}

/// Rows of windows: where their results go, and their upper and lower row.
#[inline(always)]
fn windows<'a>(
    block: &'a Block,
    part: Part,
    c: usize,
    long: &'a [f32],
) -> impl Iterator<Item = (std::ops::Range<usize>, &'a [f32], &'a [f32])> {
    let (rows, columns) = block.pooled;
    let (layout, channels) = (&block.direct.layout, block.direct.geometry.outputs);
    (0..part.images).flat_map(move |image| {
        (0..rows).map(move |y| {
            let to = ((image * channels + c) * rows + y) * columns;
            let row = |y: usize| &long[layout.row(image, y)..][..2 * columns];
            (to..to + columns, row(2 * y), row(2 * y + 1))
        })
    })
}

/// The normalised, rectified maximum of every window.
#[inline(always)]
pub(super) fn maxima(block: &Block, part: Part, c: usize, long: &[f32], affine: &Affine<f32>, out: &mut [f32]) {
    let (centre, scale, shift) = (affine.centre[c], affine.scale[c], affine.shift[c]);
    for (to, upper, lower) in windows(block, part, c, long) {
        for ((out, upper), lower) in out[to].iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            let mut best = 0.;
            for y in [upper[0], upper[1], lower[0], lower[1]] {
                let v = (y - centre) * scale + shift;
                // NaN wins, as in PyTorch.
                best = if v > best || v.is_nan() { v } else { best };
            }
            *out = best;
        }
    }
}

/// The same with the place of the first maximum and the value there before the norm.
#[inline(always)]
pub(super) fn winners(
    block: &Block,
    part: Part,
    c: usize,
    long: &[f32],
    affine: &Affine<f32>,
    (out, winner, value): (&mut [f32], &mut [u8], &mut [f32]),
) {
    let (centre, scale, shift) = (affine.centre[c], affine.scale[c], affine.shift[c]);
    for (to, upper, lower) in windows(block, part, c, long) {
        let places = out[to.clone()].iter_mut().zip(&mut winner[to.clone()]).zip(&mut value[to]);
        for (((out, winner), value), (upper, lower)) in places.zip(upper.chunks_exact(2).zip(lower.chunks_exact(2))) {
            let (mut best, mut at, mut before) = (0., u32::from(NONE), 0.);
            for (place, y) in [(0, upper[0]), (1, upper[1]), (2, lower[0]), (3, lower[1])] {
                let v = (y - centre) * scale + shift;
                let wins = v > best || v.is_nan();
                best = if wins { v } else { best };
                at = if wins { place } else { at };
                before = if wins { y } else { before };
            }
            (*out, *winner, *value) = (best, at as u8, before);
        }
    }
}

//! What happens to one channel's long row between convolution and result.

use super::Block;
use crate::kernel::conv::direct::Part;
use crate::kernel::norm::{Affine, lanes};

/// No value of the window is positive: its gradient goes nowhere.
pub(super) const NONE: u8 = 4;

/// Windows that are worked on at one time; the loops over them become vector code.
const WINDOWS: usize = 16;

/// Count, mean and centred sum of squares over the pixels (mask 1).
#[inline(always)]
pub(super) fn moments(long: &[f32], mask: &[f32], count: f64) -> [f64; 3] {
    // A first mean as in `norm::moments`: everything else is relative to it.
    let centre = (lanes(long, mask, |v, m| v * m) / count) as f32;
    let rest = lanes(long, mask, |v, m| (v - centre) * m);
    let squares = lanes(long, mask, |v, m| (v - centre) * (v - centre) * m) - rest * rest / count;
    [count, f64::from(centre) + rest / count, squares.max(0.)]
}

/// Normalised, rectified maxima of some windows, the place of the first in each, and its value before the norm.
struct Maxima {
    best: [f32; WINDOWS],
    place: [u8; WINDOWS],
    before: [f32; WINDOWS],
}

impl Maxima {
    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN wins, as in PyTorch; said otherwise it is no vector code")]
    #[inline(always)]
    fn new(upper: &[f32; 2 * WINDOWS], lower: &[f32; 2 * WINDOWS], (centre, scale, shift): (f32, f32, f32)) -> Self {
        let (mut best, mut before, mut at) = ([0f32; WINDOWS], [0f32; WINDOWS], [u32::from(NONE); WINDOWS]);
        for (place, row, column) in [(0, upper, 0), (1, upper, 1), (2, lower, 0), (3, lower, 1)] {
            for j in 0..WINDOWS {
                let y = row[2 * j + column];
                let v = (y - centre) * scale + shift;
                let wins = !(v <= best[j]);
                best[j] = if wins { v } else { best[j] };
                before[j] = if wins { y } else { before[j] };
                at[j] = if wins { place } else { at[j] };
            }
        }
        Self { best, place: at.map(|place| place as u8), before }
    }
}

/// Pools a channel: hands each group of windows, and where its results go, to `put`, in ascending order. The number is
/// that of the windows that are there; the others are to be overwritten or left.
#[inline(always)]
fn pool(
    block: &Block,
    part: Part,
    c: usize,
    long: &[f32],
    affine: &Affine<f32>,
    mut put: impl FnMut(usize, usize, &Maxima),
) {
    let (rows, columns) = block.pooled;
    let (layout, channels) = (&block.direct.layout, block.direct.geometry.outputs);
    let affine = (affine.centre[c], affine.scale[c], affine.shift[c]);
    for image in 0..part.images {
        let plane = (image * channels + c) * rows * columns;
        for y in 0..rows {
            for x in (0..columns).step_by(WINDOWS) {
                let from = |y: usize| layout.row(image, y) + 2 * x;
                let (upper, lower) = (row(long, from(2 * y)), row(long, from(2 * y + 1)));
                let there = (columns - x).min(WINDOWS);
                let at = y * columns + x;
                // Where there is room in the plane, all results may be written: later groups overwrite them.
                let room = if at + WINDOWS <= rows * columns { WINDOWS } else { there };
                put(plane + at, room, &Maxima::new(&upper, &lower, affine));
            }
        }
    }
}

/// The values from a place on, 0 beyond the end.
#[inline(always)]
fn row(long: &[f32], from: usize) -> [f32; 2 * WINDOWS] {
    match long[from..].first_chunk() {
        Some(row) => *row,
        None => {
            let mut row = [0.; 2 * WINDOWS];
            row[..long.len() - from].copy_from_slice(&long[from..]);
            row
        }
    }
}

#[inline(always)]
fn put<T: Copy>(out: &mut [T], at: usize, room: usize, values: &[T; WINDOWS]) {
    if room == WINDOWS {
        // Of fixed length: one store.
        out[at..at + WINDOWS].copy_from_slice(values);
    } else {
        for (o, v) in out[at..at + room].iter_mut().zip(values) {
            *o = *v;
        }
    }
}

/// The normalised, rectified maximum of every window.
#[inline(always)]
pub(super) fn maxima(block: &Block, part: Part, c: usize, long: &[f32], affine: &Affine<f32>, out: &mut [f32]) {
    pool(block, part, c, long, affine, |at, room, maxima| put(out, at, room, &maxima.best));
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
    pool(block, part, c, long, affine, |at, room, maxima| {
        put(out, at, room, &maxima.best);
        put(winner, at, room, &maxima.place);
        put(value, at, room, &maxima.before);
    });
}

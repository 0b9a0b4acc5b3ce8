//! Convolution of every channel by itself: sums along the channels, which lie side by side and fill registers. Neighbouring pixels
//! that see as many taps are made together, so that a weight is read once for all of them.

use super::{Affine, Geometry};
use crate::kernel::activation::{Activation, Curve, by_curve};
use crate::kernel::norm::{self, Join, Moments};
use crate::kernel::{Element, Unwritten, parts};
use npair_simd::{Lines, vectorised};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Parts that the weight gradient is summed over first.
const PARTS: usize = 16;

/// Values that a task makes, about: what is found of them afterwards is still in the cache.
const BAND: usize = 1 << 15;

/// What a pixel of one grid is made of along one axis: for every place, the taps and the places of the other grid.
type Axis = Vec<Vec<(usize, usize)>>;

/// For every place of the map along an axis, the taps inside the image.
fn seen(map: usize, kernel: usize, stride: usize, dilation: usize, padding: usize, image: usize) -> Axis {
    let place = |at: usize, k: usize| (at * stride + k * dilation).checked_sub(padding).filter(|&v| v < image);
    (0..map).map(|at| (0..kernel).filter_map(|k| Some((k, place(at, k)?))).collect()).collect()
}

/// The reverse: for every place of the image, the taps through which the map sees it.
fn seen_by(seen: &Axis, image: usize) -> Axis {
    let mut all = vec![Vec::new(); image];
    for (at, taps) in seen.iter().enumerate() {
        for &(k, place) in taps {
            all[place].push((k, at));
        }
    }
    // In the order of the taps, whatever the stride.
    all.iter_mut().for_each(|taps| taps.sort_unstable());
    all
}

fn axes(g: &Geometry) -> [Axis; 2] {
    [
        seen(g.map.0, g.kernel.0, g.stride.0, g.dilation.0, g.padding.0, g.image.0),
        seen(g.map.1, g.kernel.1, g.stride.1, g.dilation.1, g.padding.1, g.image.1),
    ]
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

/// Places of an axis that are made together: from `first` on `count`, whose sources are `step` apart, through the same taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    first: usize,
    count: usize,
    step: usize,
}

/// An axis cut into groups.
fn groups<T: Element>(axis: &Axis) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let apart = |a: usize, b: usize| {
        let (a, b) = (&axis[a], &axis[b]);
        let step = b.first()?.1.checked_sub(a.first()?.1)?;
        let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1 + step == b.1);
        same.then_some(step)
    };
    for at in 0..axis.len() {
        match groups.last_mut() {
            Some(last) if last.count < Lines::<T>::MOST => match apart(at - 1, at) {
                Some(step) if last.count == 1 || step == last.step => (last.count, last.step) = (last.count + 1, step),
                _ => groups.push(Group { first: at, count: 1, step: 0 }),
            },
            _ => groups.push(Group { first: at, count: 1, step: 0 }),
        }
    }
    groups
}

/// What the rows of a grid are made of: rows of another one, times weights.
struct Rows<'a, T> {
    /// Images (B, H, W, C).
    source: &'a [T],
    /// Height and width of a source image.
    extents: (usize, usize),
    channels: usize,
    /// (tap, channel).
    weights: &'a [T],
    /// Taps of a row of the kernel.
    across: usize,
    axes: &'a [Axis; 2],
    groups: Vec<Group>,
    bias: Option<&'a [T]>,
}

impl<T: Element> Rows<'_, T> {
    /// Rows from `first` on, and what is added to them.
    fn make<C: Curve>(&self, first: usize, plus: Option<&[T]>, curve: C, out: &mut [MaybeUninit<T>]) {
        let (height, line) = (self.axes[0].len(), self.axes[1].len() * self.channels);
        for (at, out) in out.chunks_exact_mut(line).enumerate() {
            let (image, i) = ((first + at) / height, (first + at) % height);
            let size = self.extents.0 * self.extents.1 * self.channels;
            let image = &self.source[image * size..][..size];
            self.sum(image, &self.axes[0][i], out);
            // SAFETY: the groups cover the row, and the sums of each have been written.
            let sums = unsafe { npair_simd::written(out) };
            let plus = plus.map(|plus| &plus[at * line..][..line]);
            match (self.bias, plus) {
                (None, None) => activate(curve, sums),
                (bias, plus) => {
                    let nothing = vec![T::ZERO; if bias.is_none() { self.channels } else { 0 }];
                    add_row(bias.unwrap_or(&nothing), plus, sums);
                    activate(curve, sums);
                }
            }
        }
    }

    /// The sums of a row, all of which are written.
    fn sum(&self, image: &[T], down: &[(usize, usize)], out: &mut [MaybeUninit<T>]) {
        let channels = self.channels;
        let mut terms = Vec::with_capacity(self.weights.len() / channels.max(1));
        for &Group { first, count, step } in &self.groups {
            terms.clear();
            for &(ky, y) in down {
                let taps = self.axes[1][first].iter();
                terms.extend(
                    taps.map(|&(kx, x)| ((y * self.extents.1 + x) * channels, (ky * self.across + kx) * channels)),
                );
            }
            let (terms, step) = (&terms[..], step * channels);
            let lines = Lines { x: image, y: self.weights, terms, step, width: channels, count, add: false };
            let out = &mut out[first * channels..][..count * channels];
            // SAFETY: `out` has room for as many pixels as there are sums, and they stand one after the other.
            unsafe { lines.run_at(out.as_mut_ptr().cast(), channels) };
        }
    }
}

vectorised! {
    /// Adds a bias to every pixel of a row, and what else there is.
    fn add_row<T: Element>(bias: &[T], plus: Option<&[T]>, sums: &mut [T]) {
        for pixel in sums.chunks_exact_mut(bias.len()) {
            pixel.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum += bias);
        }
        if let Some(plus) = plus {
            sums.iter_mut().zip(plus).for_each(|(sum, &plus)| *sum += plus);
        }
    }

    fn activate<T: Element, C: Curve>(curve: C, values: &mut [T]) {
        values.iter_mut().for_each(|value| *value = curve.value(*value));
    }
}

/// Output maps, and with `wanted` the moments of their channels.
pub(super) fn forward<T: Element>(
    g: &Geometry,
    x: &[T],
    w: &[T],
    affine: Affine<T>,
    wanted: bool,
) -> (Vec<T>, Option<Moments>) {
    let (weights, axes) = (by_tap(g, w, affine.scale), axes(g));
    let rows = Rows {
        source: x,
        extents: g.image,
        channels: g.inputs,
        weights: &weights,
        across: g.kernel.1,
        groups: groups::<T>(&axes[1]),
        axes: &axes,
        bias: affine.bias,
    };
    let (out, found) = all_rows(&rows, g.batch * g.map.0, affine.plus, affine.activation, wanted);
    (out, wanted.then(|| norm::join(g.inputs, found)))
}

/// All rows, some to a task; with `wanted` what moments are made of.
fn all_rows<T: Element>(
    rows: &Rows<T>,
    count: usize,
    plus: Option<&[T]>,
    activation: Activation,
    wanted: bool,
) -> (Vec<T>, Vec<Join>) {
    let line = rows.axes[1].len() * rows.channels;
    let mut out = Unwritten::new(count * line);
    let band = (BAND / line.max(1)).max(1);
    let tasks = out.values_mut().par_chunks_mut((band * line).max(1)).enumerate();
    let found = tasks.map(|(task, out)| {
        let (first, from) = (task * band, task * band * line);
        let plus = plus.map(|plus| &plus[from..from + out.len()]);
        by_curve!(activation, curve => rows.make(first, plus, curve, out));
        // SAFETY: a task's values are whole rows, all of which have been made.
        wanted.then(|| norm::part(rows.channels, unsafe { npair_simd::written(out) }))
    });
    let found: Vec<Option<Join>> = found.collect();
    // SAFETY: the tasks cover everything.
    (unsafe { out.written() }, found.into_iter().flatten().collect())
}

pub(super) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dout: &[T]) -> Vec<T> {
    let weights = by_tap(g, w, None);
    let [down, across] = axes(g);
    let axes = [seen_by(&down, g.image.0), seen_by(&across, g.image.1)];
    let rows = Rows {
        source: dout,
        extents: g.map,
        channels: g.inputs,
        weights: &weights,
        across: g.kernel.1,
        groups: groups::<T>(&axes[1]),
        axes: &axes,
        bias: None,
    };
    all_rows(&rows, g.batch * g.image.0, None, Activation::None, false).0
}

/// Columns of a map that see the image through the same taps, `count` from tap `first` on.
#[derive(Debug, Clone)]
struct Columns {
    first: usize,
    count: usize,
    /// For every column, where the first of the taps sees the image, and the column.
    terms: Vec<(usize, usize)>,
}

/// The columns of a row of the map, by the taps through which they see the image, which follow each other and at most
/// [`Lines::MOST`] of which are taken together.
fn columns<T: Element>(across: &Axis) -> Vec<Columns> {
    let mut all: Vec<Columns> = Vec::new();
    for (j, taps) in across.iter().enumerate() {
        // Taps of one column that follow each other: their sources are all equally far apart.
        for taps in taps.chunks(Lines::<T>::MOST) {
            let (Some(&(first, x)), count) = (taps.first(), taps.len()) else { continue };
            match all.iter_mut().find(|c| (c.first, c.count) == (first, count)) {
                Some(columns) => columns.terms.push((x, j)),
                None => all.push(Columns { first, count, terms: vec![(x, j)] }),
            }
        }
    }
    all
}

pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dout: &[T]) -> Vec<T> {
    let (c, count) = (g.inputs, g.kernel.0 * g.kernel.1);
    let [down, across] = axes(g);
    let mut columns = columns::<T>(&across);
    // From places to values.
    columns.iter_mut().flat_map(|columns| &mut columns.terms).for_each(|(x, j)| (*x, *j) = (*x * c, *j * c));
    let sum_of = |rows: std::ops::Range<usize>| {
        let mut sum = vec![T::ZERO; count * c];
        for row in rows {
            let (b, i) = (row / g.map.0, row % g.map.0);
            let image = &x[b * g.pixels() * c..][..g.pixels() * c];
            let y = &dout[row * g.map.1 * c..][..g.map.1 * c];
            for &(ky, at) in &down[i] {
                let x = &image[at * g.image.1 * c..][..g.image.1 * c];
                for Columns { first, count, terms } in &columns {
                    let lines = Lines { x, y, terms, step: g.dilation.1 * c, width: c, count: *count, add: true };
                    let to = &mut sum[(ky * g.kernel.1 + first) * c..][..count * c];
                    // SAFETY: as many taps as there are sums.
                    unsafe { lines.run_at(to.as_mut_ptr(), c) };
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

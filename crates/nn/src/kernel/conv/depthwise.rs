//! Convolution of every channel by itself: sums along the channels, which lie side by side and fill registers.

use super::{Affine, Geometry};
use crate::kernel::activation::{Activation, Curve, by_curve};
use crate::kernel::norm::{self, Join, Moments};
use crate::kernel::{Element, Unwritten, parts};
use npair_simd::vectorised;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Parts that the weight gradient is summed over first.
const PARTS: usize = 16;

/// Values that a task makes, about: what is found of them afterwards is still in the cache.
const BAND: usize = 1 << 15;

/// Channels whose sums stay in registers together; what is left is done in blocks of [`FEW`], then one by one.
const MANY: usize = 64;
const SOME: usize = 16;
const FEW: usize = 8;

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
            let plus = plus.map(|plus| &plus[at * line..][..line]);
            make_row(self, image, &self.axes[0][i], plus, curve, out);
        }
    }
}

vectorised! {
    fn make_row<T: Element, C: Curve>(
        rows: &Rows<T>,
        image: &[T],
        down: &[(usize, usize)],
        plus: Option<&[T]>,
        curve: C,
        out: &mut [MaybeUninit<T>],
    ) {
        let channels = rows.channels;
        let mut pairs = Vec::with_capacity(rows.weights.len() / channels.max(1));
        for (j, out) in out.chunks_exact_mut(channels).enumerate() {
            pairs.clear();
            for &(ky, y) in down {
                let taps = rows.axes[1][j].iter();
                pairs.extend(taps.map(|&(kx, x)| {
                    ((y * rows.extents.1 + x) * channels, (ky * rows.across + kx) * channels)
                }));
            }
            let plus = plus.map(|plus| &plus[j * channels..][..channels]);
            let pixel = Pixel { pairs: &pairs, image, weights: rows.weights, bias: rows.bias, plus };
            let mut at = 0;
            while at + MANY <= channels {
                pixel.make::<C, { MANY / SOME }, SOME>(at, curve, out);
                at += MANY;
            }
            while at + SOME <= channels {
                pixel.make::<C, 1, SOME>(at, curve, out);
                at += SOME;
            }
            while at + FEW <= channels {
                pixel.make::<C, 1, FEW>(at, curve, out);
                at += FEW;
            }
            while at < channels {
                pixel.make::<C, 1, 1>(at, curve, out);
                at += 1;
            }
        }
    }
}

/// One pixel: sums of products of source pixels and taps, by where they begin.
struct Pixel<'a, T> {
    pairs: &'a [(usize, usize)],
    image: &'a [T],
    weights: &'a [T],
    bias: Option<&'a [T]>,
    plus: Option<&'a [T]>,
}

impl<T: Element> Pixel<'_, T> {
    /// Its channels from `from` on: `V` times `L`.
    #[inline(always)]
    fn make<C: Curve, const V: usize, const L: usize>(&self, from: usize, curve: C, out: &mut [MaybeUninit<T>]) {
        let mut sums = [[T::ZERO; L]; V];
        if let Some(bias) = self.bias {
            add(&mut sums, &bias[from..]);
        }
        for &(x, w) in self.pairs {
            add_products(&mut sums, &self.image[x + from..], &self.weights[w + from..]);
        }
        if let Some(plus) = self.plus {
            add(&mut sums, &plus[from..]);
        }
        let (out, _) = out[from..][..V * L].as_chunks_mut::<L>();
        for (out, sums) in out.iter_mut().zip(&sums) {
            for (out, &sum) in out.iter_mut().zip(sums) {
                out.write(curve.value(sum));
            }
        }
    }
}

#[inline(always)]
fn add<T: Element, const V: usize, const L: usize>(sums: &mut [[T; L]; V], a: &[T]) {
    let (a, _) = a[..V * L].as_chunks::<L>();
    for v in 0..V {
        for l in 0..L {
            sums[v][l] += a[v][l];
        }
    }
}

#[inline(always)]
fn add_products<T: Element, const V: usize, const L: usize>(sums: &mut [[T; L]; V], a: &[T], b: &[T]) {
    let ((a, _), (b, _)) = (a[..V * L].as_chunks::<L>(), b[..V * L].as_chunks::<L>());
    for v in 0..V {
        for l in 0..L {
            sums[v][l] += a[v][l] * b[v][l];
        }
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
    let weights = by_tap(g, w, affine.scale);
    let rows = Rows {
        source: x,
        extents: g.image,
        channels: g.inputs,
        weights: &weights,
        across: g.kernel.1,
        axes: &axes(g),
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
    let rows = Rows {
        source: dout,
        extents: g.map,
        channels: g.inputs,
        weights: &weights,
        across: g.kernel.1,
        axes: &[seen_by(&down, g.image.0), seen_by(&across, g.image.1)],
        bias: None,
    };
    all_rows(&rows, g.batch * g.image.0, None, Activation::None, false).0
}

/// Columns of a map that see the image through one tap, and where the first of them sees it.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    count: usize,
    source: usize,
}

/// One for every tap of a row of the kernel.
fn spans(across: &Axis, kernel: usize) -> Vec<Span> {
    let mut spans = vec![Span { first: 0, count: 0, source: 0 }; kernel];
    for (j, taps) in across.iter().enumerate() {
        for &(k, x) in taps {
            let span = &mut spans[k];
            if span.count == 0 {
                (span.first, span.source) = (j, x);
            }
            span.count += 1;
        }
    }
    spans
}

pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dout: &[T]) -> Vec<T> {
    let (c, count) = (g.inputs, g.kernel.0 * g.kernel.1);
    let [down, across] = axes(g);
    let spans = spans(&across, g.kernel.1);
    let sum_of = |rows: std::ops::Range<usize>| {
        let mut sum = vec![T::ZERO; count * c];
        for row in rows {
            let (b, i) = (row / g.map.0, row % g.map.0);
            let image = &x[b * g.pixels() * c..][..g.pixels() * c];
            let dout = &dout[row * g.map.1 * c..][..g.map.1 * c];
            for &(ky, y) in &down[i] {
                let line =
                    Line { x: &image[y * g.image.1 * c..][..g.image.1 * c], dout, step: g.stride.1, channels: c };
                add_line(&line, &spans, &mut sum[ky * g.kernel.1 * c..][..g.kernel.1 * c]);
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

/// A row of an image and the gradient of the row of the map that sees it.
struct Line<'a, T> {
    x: &'a [T],
    dout: &'a [T],
    /// Columns of the image between those of the map.
    step: usize,
    channels: usize,
}

vectorised! {
    /// Adds what a line gives to a row of taps, (tap, channel).
    fn add_line<T: Element>(line: &Line<T>, spans: &[Span], sums: &mut [T]) {
        for (span, sums) in spans.iter().zip(sums.chunks_exact_mut(line.channels)) {
            let mut at = 0;
            while at + MANY <= line.channels {
                line.add::<{ MANY / SOME }, SOME>(*span, at, sums);
                at += MANY;
            }
            while at + SOME <= line.channels {
                line.add::<1, SOME>(*span, at, sums);
                at += SOME;
            }
            while at + FEW <= line.channels {
                line.add::<1, FEW>(*span, at, sums);
                at += FEW;
            }
            while at < line.channels {
                line.add::<1, 1>(*span, at, sums);
                at += 1;
            }
        }
    }
}

impl<T: Element> Line<'_, T> {
    /// Channels from `from` on: `V` times `L`.
    #[inline(always)]
    fn add<const V: usize, const L: usize>(&self, span: Span, from: usize, to: &mut [T]) {
        let mut sums = [[T::ZERO; L]; V];
        let c = self.channels;
        for n in 0..span.count {
            let (x, dout) = ((span.source + n * self.step) * c + from, (span.first + n) * c + from);
            add_products(&mut sums, &self.x[x..], &self.dout[dout..]);
        }
        let (to, _) = to[from..][..V * L].as_chunks_mut::<L>();
        for v in 0..V {
            for l in 0..L {
                to[v][l] += sums[v][l];
            }
        }
    }
}

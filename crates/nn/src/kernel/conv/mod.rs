//! Convolution of images (B, H, W, C) as products over windows that are read where they lie: nothing is unfolded.

mod depthwise;
mod geometry;
mod gradient;
mod multiply;
pub(super) mod pairs;
mod windows;
mod winograd;

pub(crate) use geometry::Geometry;

use super::activation::Activation;
use super::norm::{self, Moments};
use super::packed::{PackedOnce, mark};
use super::{Element, Unwritten};
use multiply::{Finish, Output, multiply};
use npair_simd::{Columns, Panels};
use std::sync::Arc;
use windows::{Places, Windows};

pub(crate) use gradient::weight_gradient;

/// What follows the sums of a forward pass, per output channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a, T> {
    /// Factor of the weights, if not 1.
    pub scale: Option<&'a [T]>,
    pub bias: Option<&'a [T]>,
    /// Maps that are added.
    pub plus: Option<&'a [T]>,
    /// What comes last.
    pub activation: Activation,
    /// Where the packed weights stay for the next pass.
    pub packed: Option<&'a PackedOnce>,
}

impl<T> Affine<'_, T> {
    /// Nothing follows.
    pub const NOTHING: Self = Self { scale: None, bias: None, plus: None, activation: Activation::None, packed: None };
}

/// How products are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// Two steps at a time, as pairs of bf16.
    Pairs,
    /// Tiles of pixels, transformed.
    Winograd,
}

impl Way {
    /// For windows that make so many channels at these places; whether pairs are to be multiplied.
    fn of<T: Element>(windows: &Windows, outputs: usize, places: &Places, pairs: bool) -> Self {
        if winograd::suits::<T>(windows, outputs) && places.are_all_of(windows.count) {
            return Self::Winograd;
        }
        if pairs && windows.over_pairs().is_some() { Self::Pairs } else { Self::Plain }
    }
}

/// Weights (O, C / groups, kh, kw) on their way into panels.
struct Weights<'a, T> {
    values: &'a [T],
    /// Factor per output.
    scale: Option<&'a [T]>,
    /// Channels that a window sees, and its pixels.
    inputs: usize,
    taps: usize,
    /// Whether two channels are a step: [`pairs`].
    paired: bool,
}

impl<T: Element> Weights<'_, T> {
    /// Those of `count` outputs from `first` on: (tap, channel) by output.
    fn fill(&self, first: usize, count: usize, width: usize, panel: &mut [T]) {
        let Self { inputs, taps, .. } = *self;
        // Some channels at a time: what is written of the panel stays in the first cache.
        const CHANNELS: usize = 16;
        for block in (0..inputs).step_by(CHANNELS) {
            let channels = block..inputs.min(block + CHANNELS);
            for n in 0..count {
                let o = first + n;
                let scale = self.scale.map_or(T::ONE, |s| s[o]);
                let weights = &self.values[(o * inputs + block) * taps..];
                if self.paired {
                    for (channel, two) in channels.clone().step_by(2).zip(weights.chunks_exact(2 * taps)) {
                        for (tap, (&low, &high)) in two[..taps].iter().zip(&two[taps..]).enumerate() {
                            panel[(tap * inputs + channel) / 2 * width + n] = T::pair(scale * low, scale * high);
                        }
                    }
                    continue;
                }
                for (channel, weights) in channels.clone().zip(weights.chunks_exact(taps)) {
                    for (tap, &weight) in weights.iter().enumerate() {
                        panel[(tap * inputs + channel) * width + n] = scale * weight;
                    }
                }
            }
        }
    }
}

/// The weights of all groups in panels, perhaps those of the last pass.
fn packed<T: Element>(
    g: &Geometry,
    weights: &Weights<T>,
    (way, of_pairs): (Way, Option<Columns<T>>),
    once: Option<&PackedOnce>,
) -> Arc<Vec<Panels<T>>> {
    let outputs = g.group_outputs();
    let pack = || {
        let of_group = |group: usize| {
            let fill = |column: usize, count: usize, width: usize, values: &mut [T]| {
                weights.fill(group * outputs + column, count, width, values);
            };
            match way {
                Way::Winograd => winograd::panels(Columns::new(outputs), weights.inputs, fill),
                Way::Pairs => {
                    let columns = of_pairs.clone().unwrap_or_else(|| Columns::new(outputs));
                    Panels::new(columns, g.patch() / 2, fill)
                }
                Way::Plain => Panels::new(Columns::new(outputs), g.patch(), fill),
            }
        };
        (0..g.groups).map(of_group).collect::<Vec<_>>()
    };
    let Some(once) = once else { return Arc::new(pack()) };
    // The way depends on the picture's size and on the precision, too.
    let of_way = mark(&[T::from_f64(f64::from(way as u8)), T::from_f64(g.groups as f64)]);
    once.of(vec![of_way, mark(weights.values), weights.scale.map(mark).unwrap_or_default()], pack)
}

/// Output maps: `out[b, i, j, o] = bias[o] + sum over window entries of w[o, k] window[b, i, j, k]`; weights are
/// (O, C / groups, kh, kw).
pub(crate) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], affine: Affine<T>) -> Vec<T> {
    forward_with_moments(g, x, w, affine, false).0
}

/// The same, and with `wanted` the moments of every output channel.
pub(crate) fn forward_with_moments<T: Element>(
    g: &Geometry,
    x: &[T],
    w: &[T],
    affine: Affine<T>,
    wanted: bool,
) -> (Vec<T>, Option<Moments>) {
    let after = |out: Vec<T>| {
        let moments = wanted.then(|| norm::moments(g.outputs, &out));
        (out, moments)
    };
    if g.is_depthwise() {
        return depthwise::forward(g, x, w, affine, wanted);
    }
    let mut found = None;
    let mut out = Unwritten::new(g.batch * g.map_pixels() * g.outputs);
    // Asked once: another thread may choose another precision meanwhile.
    let of_pairs = pairs::columns(g.group_outputs());
    let way = Way::of::<T>(&g.windows(0), g.group_outputs(), &g.places(0), of_pairs.is_some());
    let weights = Weights {
        values: w,
        scale: affine.scale,
        inputs: g.group_inputs(),
        taps: g.kernel.0 * g.kernel.1,
        paired: way == Way::Pairs,
    };
    let pairs = if way == Way::Pairs { pairs::neighbours(x) } else { Vec::new() };
    for (group, panels) in packed(g, &weights, (way, of_pairs), affine.packed).iter().enumerate() {
        let (windows, places) = (g.windows(group), g.places(group));
        let finish = Finish::of(affine, group * g.group_outputs());
        let output = Output { places: &places, values: out.shared(), moments: wanted && g.groups == 1 };
        found = match way {
            Way::Winograd => winograd::multiply(&windows, x, panels, finish, output),
            Way::Pairs => multiply(&windows.of_pairs(), &pairs, panels, finish, output),
            Way::Plain => multiply(&windows, x, panels, finish, output),
        };
    }
    // SAFETY: every pixel of the map has been written, for all groups of channels.
    let out = unsafe { out.written() };
    match found {
        Some(moments) => (out, Some(moments)),
        None => after(out),
    }
}

/// Gradient of the input, from the gradient of the output.
pub(crate) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dout: &[T]) -> Vec<T> {
    if g.is_depthwise() {
        return depthwise::input_gradient(g, w, dout);
    }
    let mut dx = Unwritten::new(g.batch * g.pixels() * g.inputs);
    let (inputs, outputs, taps) = (g.group_inputs(), g.group_outputs(), g.kernel.0 * g.kernel.1);
    // Once for all phases; every group sees its own channels of them.
    let of_pairs = pairs::columns::<T>(inputs);
    let pairs = if of_pairs.is_some() { pairs::neighbours(dout) } else { Vec::new() };
    for group in 0..g.groups {
        for phase in g.phases(group) {
            let entries: Vec<usize> = phase.taps.iter().map(|(ky, kx)| ky * g.kernel.1 + kx).collect();
            let way = Way::of::<T>(&phase.windows, inputs, &phase.places, of_pairs.is_some());
            let paired = way == Way::Pairs;
            let fill = |column: usize, count: usize, width: usize, values: &mut [T]| {
                let of = |o: usize| &w[((group * outputs + o) * inputs + column) * taps..][..count * taps];
                if paired {
                    for o in (0..outputs).step_by(2) {
                        let [low, high] = [of(o), of(o + 1)];
                        for (at, &tap) in entries.iter().enumerate() {
                            let row = &mut values[(at * outputs + o) / 2 * width..][..count];
                            let two = low[tap..].iter().step_by(taps).zip(high[tap..].iter().step_by(taps));
                            for (value, (&low, &high)) in row.iter_mut().zip(two) {
                                *value = T::pair(low, high);
                            }
                        }
                    }
                    return;
                }
                for o in 0..outputs {
                    let weights = of(o);
                    for (at, &tap) in entries.iter().enumerate() {
                        let row = &mut values[(at * outputs + o) * width..][..count];
                        for (value, &weight) in row.iter_mut().zip(weights[tap..].iter().step_by(taps)) {
                            *value = weight;
                        }
                    }
                }
            };
            let output = Output { places: &phase.places, values: dx.shared(), moments: false };
            let windows = &phase.windows;
            match way {
                Way::Winograd => {
                    let panels = winograd::panels(Columns::new(inputs), outputs, fill);
                    winograd::multiply(windows, dout, &panels, Finish::Nothing, output)
                }
                Way::Pairs => {
                    let columns = of_pairs.clone().unwrap_or_else(|| Columns::new(inputs));
                    let panels = Panels::new(columns, windows.size() / 2, fill);
                    multiply(&windows.of_pairs(), &pairs, &panels, Finish::Nothing, output)
                }
                Way::Plain => {
                    let panels = Panels::new(Columns::new(inputs), windows.size(), fill);
                    multiply(windows, dout, &panels, Finish::Nothing, output)
                }
            };
        }
    }
    // SAFETY: every pixel belongs to one of the phases; without a tap its sum is 0, and written.
    unsafe { dx.written() }
}

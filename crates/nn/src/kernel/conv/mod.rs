//! Convolution of images (B, H, W, C) as products over windows that are read where they lie: nothing is unfolded.

mod depthwise;
mod geometry;
mod gradient;
mod multiply;
mod windows;

pub(crate) use geometry::Geometry;

use super::Element;
use super::product::{Columns, Panels};
use multiply::{Finish, multiply};
use rayon::prelude::*;

pub(crate) use gradient::weight_gradient;

/// What follows the sums of a forward pass, per output channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a, T> {
    /// Factor of the weights, if not 1.
    pub scale: Option<&'a [T]>,
    pub bias: Option<&'a [T]>,
    pub relu: bool,
}

/// Output maps: `out[b, i, j, o] = bias[o] + sum over window entries of w[o, k] window[b, i, j, k]`; weights are
/// (O, C / groups, kh, kw).
pub(crate) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], affine: Affine<T>) -> Vec<T> {
    if g.is_depthwise() {
        return depthwise::forward(g, x, w, affine);
    }
    let mut out = vec![T::ZERO; g.batch * g.map_pixels() * g.outputs];
    let (inputs, taps) = (g.group_inputs(), g.kernel.0 * g.kernel.1);
    for group in 0..g.groups {
        let first = group * g.group_outputs();
        let panels = Panels::new(Columns::new(g.group_outputs()), g.patch(), |step, column, values| {
            let (tap, channel) = (step / inputs, step % inputs);
            for (n, value) in values.iter_mut().enumerate() {
                let o = first + column + n;
                let weight = w[(o * inputs + channel) * taps + tap];
                *value = affine.scale.map_or(weight, |s| s[o] * weight);
            }
        });
        let finish = match (affine.bias, affine.relu) {
            (None, false) => Finish::Nothing,
            (bias, relu) => Finish::Affine { bias: bias.map(|b| &b[first..]), relu },
        };
        multiply(&g.windows(group), x, &panels, &g.places(group), finish, &mut out);
    }
    out
}

/// Gradient of the input, from the gradient of the output.
pub(crate) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dout: &[T]) -> Vec<T> {
    if g.is_depthwise() {
        return depthwise::input_gradient(g, w, dout);
    }
    let mut dx = vec![T::ZERO; g.batch * g.pixels() * g.inputs];
    let (inputs, outputs, taps) = (g.group_inputs(), g.group_outputs(), g.kernel.0 * g.kernel.1);
    for group in 0..g.groups {
        for phase in g.phases(group) {
            if phase.taps.is_empty() {
                continue;
            }
            let panels = Panels::new(Columns::new(inputs), phase.windows.size(), |step, column, values| {
                let ((ky, kx), o) = (phase.taps[step / outputs], group * outputs + step % outputs);
                let from = (o * inputs + column) * taps + ky * g.kernel.1 + kx;
                for (value, &weight) in values.iter_mut().zip(w[from..].iter().step_by(taps)) {
                    *value = weight;
                }
            });
            multiply(&phase.windows, dout, &panels, &phase.places, Finish::Nothing, &mut dx);
        }
    }
    dx
}

/// Gradient of the bias: sums over batch and pixels, in f64.
pub(crate) fn bias_gradient<T: Element>(outputs: usize, dout: &[T]) -> Vec<T> {
    const ROWS: usize = 1024;
    let sums: Vec<Vec<f64>> = dout.par_chunks(outputs * ROWS).map(|rows| super::column_sums(outputs, rows)).collect();
    let mut total = vec![0.; outputs];
    for sum in sums {
        for (t, s) in total.iter_mut().zip(sum) {
            *t += s;
        }
    }
    total.into_iter().map(T::from_f64).collect()
}

//! Convolution as three products of matrices over patches of one image at a time.

pub(crate) mod direct;
mod geometry;
mod patches;

pub(crate) use geometry::Geometry;

use direct::Direct;

use super::matrix::{Place, product};
use super::{Element, parts};
use rayon::prelude::*;

/// Parts of the batch that the weight gradient is summed over first.
pub(crate) const PARTS: usize = 16;

/// What the vector kernels make of f32 values, if they can.
fn direct<T: Element>(g: &Geometry, x: &[T], f: impl Fn(&Direct, &[f32]) -> Option<Vec<f32>>) -> Option<Vec<T>> {
    let x = T::as_f32(x)?;
    T::from_f32(f(&Direct::new(g, 0)?, x)?)
}

/// Output planes: `out[b, o] = bias[o] + sum over patch entries of w[o, k] patch[b, k]`.
pub(crate) fn forward<T: Element>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let (outputs, patch, pixels) = (g.group_outputs(), g.patch(), g.map_pixels());
    if let Some(out) = direct(g, x, |d, x| Some(d.forward(x, T::as_f32(w)?, bias.and_then(T::as_f32)))) {
        return out;
    }
    let mut out = vec![T::ZERO; g.batch * g.outputs * pixels];
    if out.is_empty() {
        return out;
    }
    let bands = g.bands();
    out.par_chunks_mut(outputs * pixels).enumerate().for_each_init(Vec::new, |columns, (at, out)| {
        let group = at % g.groups;
        let image = &x[at * g.group_inputs() * g.pixels()..][..g.group_inputs() * g.pixels()];
        let weight = (&w[group * outputs * patch..][..outputs * patch], Place::rows(outputs, patch, patch));
        if let Some(bias) = bias {
            for (plane, &b) in out.chunks_exact_mut(pixels).zip(&bias[group * outputs..]) {
                plane.fill(b);
            }
        }
        if g.is_pointwise() {
            let whole = Place::rows(outputs, pixels, pixels);
            return product((out, whole), weight, (image, Place::rows(patch, pixels, pixels)), bias.is_some());
        }
        for band in &bands {
            let width = band.len() * g.map.1;
            columns.resize(patch * width, T::ZERO);
            patches::gather(g, image, band.clone(), columns);
            let part = (&mut out[band.start * g.map.1..], Place::rows(outputs, width, pixels));
            product(part, weight, (columns, Place::rows(patch, width, width)), bias.is_some());
        }
    });
    out
}

/// Gradient of the input, from the gradient of the output.
pub(crate) fn input_gradient<T: Element>(g: &Geometry, w: &[T], dout: &[T]) -> Vec<T> {
    let (outputs, patch, pixels) = (g.group_outputs(), g.patch(), g.map_pixels());
    if let Some(dx) = direct(g, dout, |d, dout| Some(d.input_gradient(T::as_f32(w)?, dout))) {
        return dx;
    }
    let mut dx = vec![T::ZERO; g.batch * g.inputs * g.pixels()];
    if dx.is_empty() || dout.is_empty() {
        return dx;
    }
    let bands = g.bands();
    dx.par_chunks_mut(g.group_inputs() * g.pixels()).enumerate().for_each_init(Vec::new, |columns, (at, dx)| {
        let group = at % g.groups;
        let dout = &dout[at * outputs * pixels..][..outputs * pixels];
        let weight = &w[group * outputs * patch..][..outputs * patch];
        let weight = (weight, Place::rows(outputs, patch, patch).transposed());
        if g.is_pointwise() {
            let whole = Place::rows(patch, pixels, pixels);
            return product((dx, whole), weight, (dout, Place::rows(outputs, pixels, pixels)), false);
        }
        for band in &bands {
            let width = band.len() * g.map.1;
            columns.resize(patch * width, T::ZERO);
            let part = (&dout[band.start * g.map.1..], Place::rows(outputs, width, pixels));
            product((columns, Place::rows(patch, width, width)), weight, part, false);
            patches::scatter(g, columns, band.clone(), dx);
        }
    });
    dx
}

/// Gradient of the weights: per part of the batch first, then over the parts in order, so that the bits do not depend
/// on the number of threads.
pub(crate) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dout: &[T]) -> Vec<T> {
    let (outputs, patch, pixels) = (g.group_outputs(), g.patch(), g.map_pixels());
    if let Some(dw) = direct(g, x, |d, x| Some(d.weight_gradient(x, T::as_f32(dout)?))) {
        return dw;
    }
    let zeros = || vec![T::ZERO; g.outputs * patch];
    if pixels == 0 {
        return zeros();
    }
    let bands = g.bands();
    let sum_of = |images: std::ops::Range<usize>| {
        let (mut dw, mut columns) = (zeros(), Vec::new());
        for at in images.start * g.groups..images.end * g.groups {
            let group = at % g.groups;
            let dout = &dout[at * outputs * pixels..][..outputs * pixels];
            let image = &x[at * g.group_inputs() * g.pixels()..][..g.group_inputs() * g.pixels()];
            let dw = &mut dw[group * outputs * patch..][..outputs * patch];
            let place = Place::rows(outputs, patch, patch);
            if g.is_pointwise() {
                let image = (image, Place::rows(patch, pixels, pixels).transposed());
                product((dw, place), (dout, Place::rows(outputs, pixels, pixels)), image, true);
                continue;
            }
            for band in &bands {
                let width = band.len() * g.map.1;
                columns.resize(patch * width, T::ZERO);
                patches::gather(g, image, band.clone(), &mut columns);
                let part = (&dout[band.start * g.map.1..], Place::rows(outputs, width, pixels));
                let columns = (&columns[..], Place::rows(patch, width, width).transposed());
                product((&mut *dw, place), part, columns, true);
            }
        }
        dw
    };
    let sums: Vec<Vec<T>> = parts(g.batch, PARTS).into_par_iter().map(sum_of).collect();
    sums.into_iter().reduce(add).unwrap_or_else(zeros)
}

/// Gradient of the bias: sums over batch and pixels, in f64.
pub(crate) fn bias_gradient<T: Element>(g: &Geometry, dout: &[T]) -> Vec<T> {
    let pixels = g.map_pixels();
    let sum = |channel: usize| {
        let planes = (0..g.batch).map(|b| &dout[(b * g.outputs + channel) * pixels..][..pixels]);
        T::from_f64(planes.flatten().map(|v| v.to_f64()).sum())
    };
    (0..g.outputs).into_par_iter().map(sum).collect()
}

pub(crate) fn add<T: Element>(mut sum: Vec<T>, part: Vec<T>) -> Vec<T> {
    for (s, p) in sum.iter_mut().zip(part) {
        *s += p;
    }
    sum
}

//! Direct convolution in f32 for kernels that keep the image's size: no patches are ever written.

mod layout;
mod tile;
mod weights;

pub(crate) use layout::Layout;
use tile::{Kernel, Planes};

use super::{Geometry, PARTS};
use crate::kernel::{aligned, parts};
use rayon::prelude::*;
use std::ops::Range;

/// A convolution that the vector kernels can do.
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    pub geometry: Geometry,
    pub layout: Layout,
    kernel: Kernel,
    taps: Vec<usize>,
}

/// Some images, and the rows of them, that are worked on at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub first: usize,
    pub images: usize,
    pub rows: (usize, usize),
}

/// Memory that a thread uses again and again.
#[derive(Debug, Default)]
struct Scratch {
    planes: Vec<f32>,
    grads: Vec<f32>,
    block: Vec<f32>,
}

impl Direct {
    /// Images of up to `whole` pixels are not cut into bands. None if the machine lacks the instructions or the convolution is of another kind.
    pub(crate) fn new(g: &Geometry, whole: usize) -> Option<Self> {
        Self::with(g, whole, Kernel::detect()?)
    }

    fn with(g: &Geometry, whole: usize, kernel: Kernel) -> Option<Self> {
        let same = |k: usize, p: usize| k % 2 == 1 && p == k / 2;
        let suits = g.stride == (1, 1) && g.dilation == (1, 1) && g.groups == 1 && g.kernel != (1, 1);
        if !suits || !same(g.kernel.0, g.padding.0) || !same(g.kernel.1, g.padding.1) {
            return None;
        }
        let layout = Layout::new(g, kernel.tile(), whole);
        Some(Self { geometry: *g, layout, kernel, taps: layout.taps() })
    }

    /// Ranges of images that share a long row.
    pub(crate) fn units(&self) -> Vec<Range<usize>> {
        let (n, step) = (self.geometry.batch, self.layout.images);
        (0..n).step_by(step).map(|first| first..(first + step).min(n)).collect()
    }

    /// The parts of a unit: one, or the bands of a large image.
    pub(crate) fn parts(&self, unit: Range<usize>) -> impl Iterator<Item = Part> + use<> {
        let (height, rows) = (self.geometry.image.0, self.layout.rows);
        let part =
            move |top: usize| Part { first: unit.start, images: unit.len(), rows: (top, (top + rows).min(height)) };
        (0..height).step_by(rows).map(part)
    }

    /// Weights as the forward pass takes them.
    pub(crate) fn forward_weights(&self, w: &[f32]) -> Vec<f32> {
        weights::forward(&self.geometry, w, self.kernel.block())
    }

    /// Weights as the input gradient takes them.
    pub(crate) fn backward_weights(&self, w: &[f32]) -> Vec<f32> {
        weights::backward(&self.geometry, w, self.kernel.block())
    }

    /// Lays out the images of a part, (batch, channels, height, width), with what lies around a band.
    pub(crate) fn lay_out<'a>(
        &self,
        x: &[f32],
        channels: usize,
        part: Part,
        halo: bool,
        planes: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let (height, width) = self.geometry.image;
        let planes = aligned(planes, channels * self.layout.stride);
        for (c, plane) in planes.chunks_exact_mut(self.layout.stride).enumerate() {
            self.layout.fill(plane, part.images, part.rows, height, halo, |image, y| {
                &x[(((part.first + image) * channels + c) * height + y) * width..][..width]
            });
        }
        planes
    }

    /// Convolves laid-out planes of `from` channels with packed weights and hands each of `to` channels to `take`:
    /// its number and its long row, to be read with [`Self::rows`].
    pub(crate) fn convolve(
        &self,
        (planes, from): (&[f32], usize),
        packed: &[f32],
        to: usize,
        block: &mut Vec<f32>,
        mut take: impl FnMut(usize, &[f32]),
    ) {
        let (flat, step) = (self.layout.flat, self.kernel.block());
        let block = aligned(block, step * flat);
        let planes = Planes { data: planes, stride: self.layout.stride, channels: from };
        for (at, weights) in packed.chunks_exact(from * self.taps.len() * step).enumerate() {
            self.kernel.correlate(planes, &self.taps, weights, block, flat);
            for (c, row) in (at * step..to).zip(block.chunks_exact(flat)) {
                take(c, row);
            }
        }
    }

    /// Convolves laid-out planes of `from` channels into long rows, as many as [`Self::padded`] says.
    pub(crate) fn convolve_into(&self, (planes, from): (&[f32], usize), packed: &[f32], long: &mut [f32]) {
        let (flat, step) = (self.layout.flat, self.kernel.block());
        let planes = Planes { data: planes, stride: self.layout.stride, channels: from };
        let weights = packed.chunks_exact(from * self.taps.len() * step);
        for (weights, long) in weights.zip(long.chunks_exact_mut(step * flat)) {
            self.kernel.correlate(planes, &self.taps, weights, long, flat);
        }
    }

    /// Channels rounded up to whole blocks.
    pub(crate) fn padded(&self, channels: usize) -> usize {
        channels.next_multiple_of(self.kernel.block())
    }

    /// Copies a channel's pixels from its long row to the part's images, (images, channels, height, width).
    pub(crate) fn copy_rows(&self, part: Part, c: usize, channels: usize, long: &[f32], images: &mut [f32]) {
        let (height, width) = self.geometry.image;
        for (image, y, row) in self.rows(part, long) {
            images[((image * channels + c) * height + y) * width..][..width].copy_from_slice(row);
        }
    }

    /// The rows of pixels in a long row: image of the part, row of the image, pixels.
    pub(crate) fn rows<'a>(&self, part: Part, long: &'a [f32]) -> impl Iterator<Item = (usize, usize, &'a [f32])> {
        let (layout, width) = (self.layout, self.geometry.image.1);
        (0..part.images).flat_map(move |image| {
            (part.rows.0..part.rows.1).map(move |y| (image, y, &long[layout.row(image, y - part.rows.0)..][..width]))
        })
    }

    /// Adds a part's share to the gradient of the weights. `grads` are laid out without what lies around a band.
    pub(crate) fn add_weight_gradient(&self, planes: &[f32], grads: &[f32], dw: &mut [f32]) {
        let stride = self.layout.stride;
        let places: Vec<usize> =
            (0..self.geometry.inputs).flat_map(|i| self.taps.iter().map(move |t| i * stride + t)).collect();
        let grads = Planes { data: grads, stride, channels: self.geometry.outputs };
        self.kernel.dots(grads, self.layout.centre(), planes, &places, dw, self.layout.flat);
    }

    fn run(&self, x: &[f32], from: usize, packed: &[f32], to: usize, bias: Option<&[f32]>) -> Vec<f32> {
        let (height, width) = self.geometry.image;
        let mut out = vec![0.; self.geometry.batch * to * height * width];
        let units = self.units();
        let chunks = out.par_chunks_mut(self.layout.images * to * height * width).zip(units);
        chunks.for_each_init(Scratch::default, |scratch, (out, unit)| {
            for part in self.parts(unit) {
                let planes = self.lay_out(x, from, part, true, &mut scratch.planes);
                self.convolve((planes, from), packed, to, &mut scratch.block, |c, long| {
                    let Some(bias) = bias else { return self.copy_rows(part, c, to, long, out) };
                    for (image, y, row) in self.rows(part, long) {
                        let out = &mut out[((image * to + c) * height + y) * width..][..width];
                        out.iter_mut().zip(row).for_each(|(o, r)| *o = r + bias[c]);
                    }
                });
            }
        });
        out
    }

    /// Output planes.
    pub(crate) fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        self.run(x, self.geometry.inputs, &self.forward_weights(w), self.geometry.outputs, bias)
    }

    /// Gradient of the input: the same convolution of the gradient with flipped weights.
    pub(crate) fn input_gradient(&self, w: &[f32], dout: &[f32]) -> Vec<f32> {
        self.run(dout, self.geometry.outputs, &self.backward_weights(w), self.geometry.inputs, None)
    }

    /// Gradient of the weights, over fixed parts of the batch.
    pub(crate) fn weight_gradient(&self, x: &[f32], dout: &[f32]) -> Vec<f32> {
        let g = &self.geometry;
        let units = self.units();
        let sum_of = |range: Range<usize>| {
            let (mut dw, mut scratch) = (vec![0.; g.outputs * g.patch()], Scratch::default());
            for part in units[range].iter().flat_map(|unit| self.parts(unit.clone())) {
                let planes = self.lay_out(x, g.inputs, part, true, &mut scratch.planes);
                let grads = self.lay_out(dout, g.outputs, part, false, &mut scratch.grads);
                self.add_weight_gradient(planes, grads, &mut dw);
            }
            dw
        };
        let sums: Vec<Vec<f32>> = parts(units.len(), PARTS).into_par_iter().map(sum_of).collect();
        sums.into_iter().reduce(super::add).unwrap_or_else(|| vec![0.; g.outputs * g.patch()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::conv;
    use npair_testkit::inputs;
    use proptest::prelude::*;

    fn values(seed: u64, n: usize) -> Vec<f32> {
        let values = inputs::normal(seed, 1., n, candle_core::DType::F32).unwrap();
        values.to_vec1().unwrap()
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&v| f64::from(v)).collect()
    }

    /// Every kernel that this machine can run, not only the one it would choose, against the products of patches in f64.
    fn compare(g: &Geometry, whole: usize) {
        let x = values(1, g.batch * g.inputs * g.pixels());
        let dout = values(2, g.batch * g.outputs * g.pixels());
        let (w, bias) = (values(3, g.outputs * g.patch()), values(4, g.outputs));
        for kernel in Kernel::available() {
            let direct = Direct::with(g, whole, kernel).unwrap();
            let close = |got: Vec<f32>, want: Vec<f64>, terms: usize| {
                assert_eq!(got.len(), want.len());
                for (g, w) in got.iter().zip(want) {
                    // n products of order 1 sum to about sqrt(n). Each step rounds by a unit (half an epsilon) of what
                    // is summed so far, with random signs: n units in all. Ten times that; a single product may be 36.
                    let bound = 5. * f64::from(f32::EPSILON) * terms.max(36) as f64;
                    assert!((f64::from(*g) - w).abs() <= bound, "{kernel:?}: {g:e}, not {w:e} (+- {bound:e})");
                }
            };
            let (patch, pixels) = (g.patch() * g.outputs.max(g.inputs), g.batch * g.pixels());
            let (wx, ww, wd) = (wide(&x), wide(&w), wide(&dout));
            close(direct.forward(&x, &w, Some(&bias)), conv::forward(g, &wx, &ww, Some(&wide(&bias))), patch + 1);
            close(direct.input_gradient(&w, &dout), conv::input_gradient(g, &ww, &wd), patch);
            close(direct.weight_gradient(&x, &dout), conv::weight_gradient(g, &wx, &wd), pixels);
        }
    }

    fn geometry(
        batch: usize,
        (inputs, outputs): (usize, usize),
        image: (usize, usize),
        kernel: (usize, usize),
    ) -> Geometry {
        let padding = (kernel.0 / 2, kernel.1 / 2);
        let (one, groups) = ((1, 1), 1);
        Geometry { batch, inputs, outputs, image, kernel, stride: one, padding, dilation: one, groups, map: image }
    }

    #[test]
    fn this_machine_is_tested_on_its_kernels() {
        assert_eq!(Kernel::available().last().is_some(), Kernel::detect().is_some());
    }

    #[test]
    fn large_images_come_in_bands() {
        for (image, kernel) in [((50, 41), (3, 3)), ((64, 30), (5, 5)), ((33, 70), (1, 3)), ((70, 33), (7, 1))] {
            let g = geometry(2, (3, 9), image, kernel);
            compare(&g, 0);
            compare(&g, usize::MAX);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_kernel_is_the_plain_path(
            batch in 1..=6usize,
            channels in (1..=20usize, 1..=20usize),
            image in (1..=20usize, 1..=20usize),
            taps in prop_oneof![Just((3, 3)), Just((5, 5)), Just((3, 1)), Just((1, 7))],
        ) {
            compare(&geometry(batch, channels, image, taps), 0);
        }
    }
}

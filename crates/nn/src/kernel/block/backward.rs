use super::pooling::NONE;
use super::{Block, Scratch, Trace};
use crate::kernel::conv::{PARTS, add, direct::Part};
use crate::kernel::norm::{Linear, Sums, lanes};
use crate::kernel::{aligned, parts, simd};
use rayon::prelude::*;
use std::ops::Range;

/// Gradients of a block's arguments.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub x: Option<Vec<f32>>,
    pub weight: Vec<f32>,
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

impl Block {
    /// All gradients in one pass over the images; that of the input only if `wants_x`. `of_batch`: the statistics are
    /// those of the batch and depend on the input, too.
    pub(crate) fn backward(
        &self,
        (x, w, gamma): (&[f32], &[f32], &[f32]),
        epsilon: f64,
        trace: &Trace,
        grad: &[f32],
        wants_x: bool,
        of_batch: bool,
    ) -> Gradients {
        let g = &self.direct.geometry;
        let sums = self.sums(trace, grad);
        let inverse = trace.moments.inverse_deviation(epsilon);
        let linear = match of_batch {
            true => Linear::of_batch(&trace.moments, &sums, g.batch * g.pixels(), epsilon, gamma),
            false => Linear::of_constants(&trace.moments, epsilon, gamma),
        };
        let (forward, backward) = (self.direct.forward_weights(w), self.direct.backward_weights(w));
        let work = self.work();
        let image = g.inputs * g.pixels();
        let mut dx = vec![0.; if wants_x { g.batch * image } else { 0 }];
        // Each task takes the images of its units, and their share of the input gradient.
        let mut rest = &mut dx[..];
        let mut tasks: Vec<(Range<usize>, &mut [f32])> = Vec::new();
        for range in parts(work.len(), PARTS) {
            let images: usize = work[range.clone()].iter().map(|part| part.images).sum();
            let (own, others) = rest.split_at_mut(if wants_x { images * image } else { 0 });
            tasks.push((range, own));
            rest = others;
        }
        let task = |(range, dx): (Range<usize>, &mut [f32])| {
            let (mut dw, mut s) = (vec![0.; g.outputs * g.patch()], Scratch::default());
            let first = work[range.start].first;
            for at in range {
                let part = work[at];
                let planes = self.direct.lay_out(x, g.inputs, part, true, &mut s.planes);
                let long = match &trace.kept {
                    Some(kept) => &kept[at * self.long()..][..self.long()],
                    None => {
                        let long = aligned(&mut s.long, self.long());
                        self.direct.convolve_into((planes, g.inputs), &forward, long);
                        long
                    }
                };
                let grads = aligned(&mut s.grads, g.outputs * self.direct.layout.stride);
                self.gradient_planes(part, long, &linear, trace, grad, grads);
                self.direct.add_weight_gradient(planes, grads, &mut dw);
                if wants_x {
                    let dx = &mut dx[(part.first - first) * image..][..part.images * image];
                    self.direct.convolve((grads, g.outputs), &backward, g.inputs, &mut s.block, |c, long| {
                        self.direct.copy_rows(part, c, g.inputs, long, dx);
                    });
                }
            }
            dw
        };
        let weights: Vec<Vec<f32>> = tasks.into_par_iter().map(task).collect();
        Gradients {
            x: wants_x.then_some(dx),
            weight: weights.into_iter().reduce(add).unwrap_or_else(|| vec![0.; w.len()]),
            gamma: sums.centred.iter().zip(inverse).map(|(s, i)| (s * i) as f32).collect(),
            beta: sums.plain.iter().map(|&s| s as f32).collect(),
        }
    }

    /// Sums of the gradient and of gradient times centred value, over the winners: nothing else has one.
    fn sums(&self, trace: &Trace, grad: &[f32]) -> Sums {
        let (channels, window) = (self.direct.geometry.outputs, self.pooled.0 * self.pooled.1);
        // Part by part, as memory lies, and then over the parts in their order.
        let of_part = |part: &Part| {
            let mut sums = vec![[0f64; 2]; channels];
            let mut masked = vec![0f32; window];
            let first = part.first * channels;
            for (at, plane) in (first..first + part.images * channels).enumerate() {
                let range = plane * window..(plane + 1) * window;
                let (c, g, winner) = (at % channels, &grad[range.clone()], &trace.winner[range.clone()]);
                let centre = trace.moments.mean[c] as f32;
                for ((m, &g), &w) in masked.iter_mut().zip(g).zip(winner) {
                    *m = if w == NONE { 0. } else { g };
                }
                sums[c][0] += lanes(&masked, &masked, |g, _| g);
                sums[c][1] += lanes(&masked, &trace.value[range], |g, v| g * (v - centre));
            }
            sums
        };
        let parts: Vec<_> = self.work().par_iter().map(|part| simd::run(|| of_part(part))).collect();
        let channel = |c: usize| {
            let mean = trace.moments.mean[c];
            let add = |sum: [f64; 2], part: &Vec<[f64; 2]>| [sum[0] + part[c][0], sum[1] + part[c][1]];
            let [plain, centred] = parts.iter().fold([0.; 2], add);
            // The centre was rounded: what that changes is known.
            (plain, centred - (mean - f64::from(mean as f32)) * plain)
        };
        let (plain, centred) = (0..channels).map(channel).unzip();
        Sums { plain, centred }
    }

    /// Gradient of the convolution's result, laid out as planes with a border of zeros.
    fn gradient_planes(
        &self,
        part: Part,
        long: &[f32],
        linear: &Linear<f32>,
        trace: &Trace,
        grad: &[f32],
        planes: &mut [f32],
    ) {
        let (layout, channels) = (&self.direct.layout, self.direct.geometry.outputs);
        let (rows, columns) = self.pooled;
        let used = layout.row(part.images, 0).min(self.mask.len());
        for (c, (plane, long)) in planes.chunks_exact_mut(layout.stride).zip(long.chunks_exact(layout.flat)).enumerate()
        {
            let (centre, gain) = (linear.centre[c], linear.gain[c]);
            let (slope, constant) = (linear.slope[c], linear.constant[c]);
            simd::run(|| {
                let (border, plane) = plane.split_at_mut(layout.centre());
                border.fill(0.);
                plane[used..].fill(0.);
                for ((d, &y), &m) in plane.iter_mut().zip(&long[..used]).zip(&self.mask) {
                    *d = ((y - centre) * slope + constant) * m;
                }
                for image in 0..part.images {
                    for y in 0..rows {
                        let from = (((part.first + image) * channels + c) * rows + y) * columns;
                        let (grad, winner) = (&grad[from..from + columns], &trace.winner[from..from + columns]);
                        let top = layout.row(image, 2 * y);
                        for (x, (&g, &w)) in grad.iter().zip(winner).enumerate() {
                            // A window without a winner adds nothing to its first pixel.
                            let (w, g) = if w == NONE { (0, 0.) } else { (usize::from(w), g) };
                            plane[top + w / 2 * layout.width + 2 * x + w % 2] += gain * g;
                        }
                    }
                }
            });
        }
    }
}

//! A whole block of a small network in f32: convolution, batch norm, ReLU and 2 x 2 max-pooling.
//!
//! Layer by layer, a step spends most of its time moving activations through memory. Here what lies between the
//! convolution and the pooling is made, used and forgotten in the cache, or kept once and read once.

mod backward;
mod pooling;
mod recycled;

use recycled::{Pool, Recycled};

use super::conv::Geometry;
use super::conv::direct::{Direct, Part};
use super::norm::{Affine, Moments};
use super::{aligned, simd};
use rayon::prelude::*;

/// Largest image that is worked on whole.
const LARGEST: usize = 96 * 96;

/// Convolutions with at most this many products per output are done again rather than kept: that takes less time than
/// the memory would.
const CHEAP: usize = 32;

/// A block that the vector kernels can do.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    direct: Direct,
    /// 1 at pixels, 0 at the border, for one channel of a full long row.
    mask: Vec<f32>,
    pooled: (usize, usize),
    memory: Memory,
}

/// What a training pass keeps for its backward pass.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The convolution's long rows, (unit, channel, place); none if they are cheap to make again.
    kept: Option<Recycled<f32>>,
    /// Which of a window's four values won; [`pooling::NONE`] if none is positive.
    winner: Recycled<u8>,
    /// The convolution's value there.
    value: Recycled<f32>,
    pub moments: Moments,
}

/// Memory that the traces of a layer's steps take turns in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    kept: Pool<f32>,
    winner: Pool<u8>,
    value: Pool<f32>,
}

#[derive(Default)]
struct Scratch {
    planes: Vec<f32>,
    grads: Vec<f32>,
    block: Vec<f32>,
    long: Vec<f32>,
}

impl Block {
    /// None if the machine or the geometry is not one for the vector kernels.
    pub(crate) fn new(g: &Geometry, memory: Memory) -> Option<Self> {
        let pooled = (g.image.0 / 2, g.image.1 / 2);
        if pooled.0 * pooled.1 * g.batch == 0 || g.pixels() > LARGEST {
            return None;
        }
        let direct = Direct::new(g, LARGEST)?;
        let mut mask = vec![0.; direct.layout.flat];
        for image in 0..direct.layout.images {
            for y in 0..g.image.0 {
                let at = direct.layout.row(image, y);
                mask[at..at + g.image.1].fill(1.);
            }
        }
        Some(Self { direct, mask, pooled, memory })
    }

    /// Values of an output image.
    fn out_image(&self) -> usize {
        self.direct.geometry.outputs * self.pooled.0 * self.pooled.1
    }

    /// Values of a unit's long rows.
    fn long(&self) -> usize {
        self.direct.padded(self.direct.geometry.outputs) * self.direct.layout.flat
    }

    /// The parts of the work: images that share a long row.
    fn work(&self) -> Vec<Part> {
        self.direct.units().into_iter().flat_map(|unit| self.direct.parts(unit)).collect()
    }

    /// Convolution of a part into long rows.
    fn convolve(&self, x: &[f32], packed: &[f32], part: Part, planes: &mut Vec<f32>, long: &mut [f32]) {
        let inputs = self.direct.geometry.inputs;
        let planes = self.direct.lay_out(x, inputs, part, true, planes);
        self.direct.convolve_into((planes, inputs), packed, long);
    }

    /// Training: statistics of the batch.
    pub(crate) fn train(&self, x: &[f32], w: &[f32], gamma: &[f32], beta: &[f32], epsilon: f64) -> (Vec<f32>, Trace) {
        let packed = self.direct.forward_weights(w);
        let work = self.work();
        let keep = self.direct.geometry.patch() > CHEAP;
        let mut kept = self.memory.kept.take(if keep { work.len() * self.long() } else { 0 });
        let statistics = |scratch: &mut Scratch, part: Part, kept: Option<&mut [f32]>| {
            let long = match kept {
                Some(kept) => kept,
                None => aligned(&mut scratch.long, self.long()),
            };
            self.convolve(x, &packed, part, &mut scratch.planes, long);
            self.moments(part, long)
        };
        let parts: Vec<Vec<[f64; 3]>> = if keep {
            let chunks = work.par_iter().zip(kept.par_chunks_mut(self.long()));
            chunks.map_init(Scratch::default, |s, (&part, kept)| statistics(s, part, Some(kept))).collect()
        } else {
            work.par_iter().map_init(Scratch::default, |s, &part| statistics(s, part, None)).collect()
        };
        let moments = Moments::join(self.direct.geometry.outputs, &parts);
        let affine = Affine::new(&moments, epsilon, gamma, beta);
        let kept = keep.then_some(kept);
        let (out, winner, value) = self.pool(x, &packed, &affine, kept.as_deref());
        (out, Trace { kept, winner, value, moments })
    }

    /// Evaluation: given statistics, nothing kept.
    pub(crate) fn evaluate(&self, x: &[f32], w: &[f32], affine: &Affine<f32>) -> Vec<f32> {
        let packed = self.direct.forward_weights(w);
        let mut out = vec![0.; self.direct.geometry.batch * self.out_image()];
        let chunks = out.par_chunks_mut(self.direct.layout.images * self.out_image()).zip(self.work());
        chunks.for_each_init(Scratch::default, |scratch, (out, part)| {
            let Scratch { planes, block, .. } = scratch;
            let inputs = self.direct.geometry.inputs;
            let planes = self.direct.lay_out(x, inputs, part, true, planes);
            self.direct.convolve((planes, inputs), &packed, self.direct.geometry.outputs, block, |c, long| {
                simd::run(|| pooling::maxima(self, part, c, long, affine, out));
            });
        });
        out
    }

    /// The trace of a pass with given statistics, made when its gradient is asked for.
    pub(crate) fn trace(&self, x: &[f32], w: &[f32], affine: &Affine<f32>, moments: Moments) -> Trace {
        let (_, winner, value) = self.pool(x, &self.direct.forward_weights(w), affine, None);
        Trace { kept: None, winner, value, moments }
    }

    /// Normalised, rectified and pooled: the result, the winners and their values before the norm.
    fn pool(
        &self,
        x: &[f32],
        packed: &[f32],
        affine: &Affine<f32>,
        kept: Option<&[f32]>,
    ) -> (Vec<f32>, Recycled<u8>, Recycled<f32>) {
        let n = self.direct.geometry.batch * self.out_image();
        let (mut out, mut winner, mut value) = (vec![0.; n], self.memory.winner.take(n), self.memory.value.take(n));
        let step = self.direct.layout.images * self.out_image();
        let chunks = out.par_chunks_mut(step).zip(winner.par_chunks_mut(step)).zip(value.par_chunks_mut(step));
        let work = self.work().into_par_iter().enumerate().zip(chunks);
        work.for_each_init(Scratch::default, |scratch, ((at, part), ((out, winner), value))| {
            let long = match kept {
                Some(kept) => &kept[at * self.long()..][..self.long()],
                None => {
                    let long = aligned(&mut scratch.long, self.long());
                    self.convolve(x, packed, part, &mut scratch.planes, long);
                    long
                }
            };
            for (c, long) in long.chunks_exact(self.direct.layout.flat).take(affine.scale.len()).enumerate() {
                simd::run(|| pooling::winners(self, part, c, long, affine, (out, winner, value)));
            }
        });
        (out, winner, value)
    }

    /// Count, mean and centred sum of squares of each channel of a part.
    fn moments(&self, part: Part, long: &[f32]) -> Vec<[f64; 3]> {
        let g = &self.direct.geometry;
        let count = (part.images * g.pixels()) as f64;
        // A last unit with fewer images has zeros where the others would be, but its mask must not count them.
        let used = self.direct.layout.row(part.images, 0).min(self.mask.len());
        let mask = &self.mask[..used];
        let channel = |long: &[f32]| simd::run(|| pooling::moments(&long[..used], mask, count));
        long.chunks_exact(self.direct.layout.flat).take(g.outputs).map(channel).collect()
    }
}

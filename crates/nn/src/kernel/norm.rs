//! Batch normalisation of (batch, channels, pixels), over all but the channels.

use super::{Element, simd};
use rayon::prelude::*;

/// Extents: batch, channels, pixels of a plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes {
    pub batch: usize,
    pub channels: usize,
    pub pixels: usize,
}

impl Planes {
    /// The planes of a channel, in the order of the batch.
    fn of<T>(self, x: &[T], channel: usize) -> impl Iterator<Item = &[T]> {
        (0..self.batch).map(move |b| &x[(b * self.channels + channel) * self.pixels..][..self.pixels])
    }

    /// Values per channel.
    pub(crate) fn count(self) -> usize {
        self.batch * self.pixels
    }
}

/// Mean and variance (divided by n) of every channel.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
}

/// Partial sums of this many independent lanes: vector code without reordering a sum.
const LANES: usize = 16;

/// Values that are summed in the number type itself before the sum goes on in f64.
const BLOCK: usize = 1024;

/// Sum over a block in a fixed order: lane by lane, then over the lanes.
#[inline(always)]
pub(super) fn lanes<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
    let mut sums = [T::ZERO; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut left).zip(&mut right) {
        for lane in 0..LANES {
            sums[lane] += f(a[lane], b[lane]);
        }
    }
    let tail: f64 = left.remainder().iter().zip(right.remainder()).map(|(&a, &b)| f(a, b).to_f64()).sum();
    sums.iter().map(|s| s.to_f64()).sum::<f64>() + tail
}

/// Moments of every channel, in one pass over memory: each block of a plane gives its own mean and centred sum of
/// squares while it is in the cache, and blocks are joined in f64 (Chan, Golub and LeVeque, 1983), so nothing cancels.
pub(crate) fn moments<T: Element>(p: Planes, x: &[T]) -> Moments {
    let channel = |c: usize| {
        let block = |block: &[T]| {
            let m = block.len() as f64;
            // A first mean, rounded as sums in T are; everything else is relative to it, so it need not be exact.
            let centre = T::from_f64(lanes(block, block, |v, _| v) / m);
            let rest = lanes(block, block, |v, _| v - centre);
            let squares = lanes(block, block, |v, _| (v - centre) * (v - centre)) - rest * rest / m;
            [m, centre.to_f64() + rest / m, squares.max(0.)]
        };
        join(p.of(x, c).flat_map(|plane| plane.chunks(BLOCK)).map(block))
    };
    let (mean, variance) = (0..p.channels).into_par_iter().map(|c| simd::run(|| channel(c))).unzip();
    Moments { mean, variance }
}

/// Mean and variance of what is in parts, each with its count, mean and centred sum of squares.
fn join(parts: impl Iterator<Item = [f64; 3]>) -> (f64, f64) {
    let (mut n, mut mean, mut squares) = (0f64, 0f64, 0f64);
    for [m, own_mean, own_squares] in parts {
        let delta = own_mean - mean;
        mean += delta * m / (n + m);
        squares += own_squares + delta * delta * n * m / (n + m);
        n += m;
    }
    (mean, squares / n)
}

/// `(x - centre) * scale + shift` per channel, then ReLU if asked for.
pub(crate) fn apply<T: Element>(p: Planes, x: &[T], affine: &Affine<T>, relu: bool) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(p.pixels).zip(x.par_chunks(p.pixels)).with_min_len(16).enumerate().for_each(|(at, (out, x))| {
        let c = at % p.channels;
        let (centre, scale, shift) = (affine.centre[c], affine.scale[c], affine.shift[c]);
        if relu {
            for (o, &x) in out.iter_mut().zip(x) {
                let y = (x - centre) * scale + shift;
                // Written so that NaN passes, as it does in PyTorch.
                *o = if y < T::ZERO { T::ZERO } else { y };
            }
        } else {
            for (o, &x) in out.iter_mut().zip(x) {
                *o = (x - centre) * scale + shift;
            }
        }
    });
    out
}

/// What [`apply`] does to each channel.
#[derive(Debug, Clone)]
pub(crate) struct Affine<T> {
    pub centre: Vec<T>,
    pub scale: Vec<T>,
    pub shift: Vec<T>,
}

impl<T: Element> Affine<T> {
    /// Normalises with `moments`, then scales by `gamma` and adds `beta`.
    pub(crate) fn new(moments: &Moments, epsilon: f64, gamma: &[T], beta: &[T]) -> Self {
        let inverse = moments.inverse_deviation(epsilon);
        Self {
            centre: moments.mean.iter().map(|&m| T::from_f64(m)).collect(),
            scale: inverse.iter().zip(gamma).map(|(i, g)| T::from_f64(i * g.to_f64())).collect(),
            // The rounding error of the centre goes into the shift.
            shift: (0..beta.len())
                .map(|c| {
                    let lost = moments.mean[c] - T::from_f64(moments.mean[c]).to_f64();
                    T::from_f64(beta[c].to_f64() - lost * inverse[c] * gamma[c].to_f64())
                })
                .collect(),
        }
    }
}

impl Moments {
    /// Joins the parts of each channel in their order: (part, channel) to count, mean and centred sum of squares.
    pub(crate) fn join(channels: usize, parts: &[Vec<[f64; 3]>]) -> Self {
        let (mean, variance) = (0..channels).map(|c| join(parts.iter().map(|part| part[c]))).unzip();
        Self { mean, variance }
    }

    /// `1 / sqrt(variance + epsilon)` of every channel.
    pub(crate) fn inverse_deviation(&self, epsilon: f64) -> Vec<f64> {
        self.variance.iter().map(|v| 1. / (v + epsilon).sqrt()).collect()
    }
}

/// What the backward pass needs of every channel: `sum g` and `sum g (x - mean)`.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    pub plain: Vec<f64>,
    pub centred: Vec<f64>,
}

/// The sums over `grad`, which is taken as 0 where `out` (of a ReLU) is not positive.
pub(crate) fn sums<T: Element>(p: Planes, x: &[T], grad: &[T], out: Option<&[T]>, mean: &[f64]) -> Sums {
    let channel = |c: usize| {
        let centre = T::from_f64(mean[c]);
        let lost = mean[c] - centre.to_f64();
        let (mut plain, mut centred) = (0f64, 0f64);
        let mut masked = [T::ZERO; BLOCK];
        for b in 0..p.batch {
            let start = (b * p.channels + c) * p.pixels;
            for from in (0..p.pixels).step_by(BLOCK) {
                let range = start + from..start + (from + BLOCK).min(p.pixels);
                let g = match out {
                    None => &grad[range.clone()],
                    Some(out) => {
                        let masked = &mut masked[..range.len()];
                        for ((m, &g), &o) in masked.iter_mut().zip(&grad[range.clone()]).zip(&out[range.clone()]) {
                            *m = if o <= T::ZERO { T::ZERO } else { g };
                        }
                        masked
                    }
                };
                plain += lanes(g, g, |g, _| g);
                centred += lanes(g, &x[range], |g, x| g * (x - centre));
            }
        }
        (plain, centred - lost * plain)
    };
    let (plain, centred) = (0..p.channels).into_par_iter().map(|c| simd::run(|| channel(c))).unzip();
    Sums { plain, centred }
}

/// `dx = a (g - b - (x - mean) c)` per channel, with `g` taken as 0 where `out` (of a ReLU) is not positive.
pub(crate) fn input_gradient<T: Element>(
    p: Planes,
    x: &[T],
    grad: &[T],
    out: Option<&[T]>,
    linear: &Linear<T>,
) -> Vec<T> {
    let mut dx = vec![T::ZERO; x.len()];
    if dx.is_empty() {
        return dx;
    }
    dx.par_chunks_mut(p.pixels).enumerate().with_min_len(16).for_each(|(at, dx)| {
        let c = at % p.channels;
        let range = at * p.pixels..(at + 1) * p.pixels;
        let (grad, x) = (&grad[range.clone()], &x[range.clone()]);
        let (gain, slope, constant) = (linear.gain[c], linear.slope[c], linear.constant[c]);
        let centre = linear.centre[c];
        match out {
            None => {
                for ((d, &g), &x) in dx.iter_mut().zip(grad).zip(x) {
                    *d = g * gain + (x - centre) * slope + constant;
                }
            }
            Some(out) => {
                for (((d, &g), &x), &o) in dx.iter_mut().zip(grad).zip(x).zip(&out[range]) {
                    let g = if o <= T::ZERO { T::ZERO } else { g };
                    *d = g * gain + (x - centre) * slope + constant;
                }
            }
        }
    });
    dx
}

/// The input gradient as a linear function of gradient and input: `dx = gain g + slope (x - centre) + constant`.
#[derive(Debug, Clone)]
pub(crate) struct Linear<T> {
    pub centre: Vec<T>,
    pub gain: Vec<T>,
    pub slope: Vec<T>,
    pub constant: Vec<T>,
}

impl<T: Element> Linear<T> {
    /// Statistics of the batch: they depend on x, too.
    pub(crate) fn of_batch(moments: &Moments, sums: &Sums, count: usize, epsilon: f64, gamma: &[T]) -> Self {
        let inverse = moments.inverse_deviation(epsilon);
        let n = count as f64;
        let centre = |c: usize| T::from_f64(moments.mean[c]).to_f64();
        let gain = |c: usize| inverse[c] * gamma[c].to_f64();
        let slope = |c: usize| -gain(c) * inverse[c] * inverse[c] * sums.centred[c] / n;
        let constant = |c: usize| -gain(c) * sums.plain[c] / n - slope(c) * (moments.mean[c] - centre(c));
        let all = |f: &dyn Fn(usize) -> f64| (0..gamma.len()).map(|c| T::from_f64(f(c))).collect();
        Self { centre: all(&centre), gain: all(&gain), slope: all(&slope), constant: all(&constant) }
    }

    /// Statistics that are constants.
    pub(crate) fn of_constants(moments: &Moments, epsilon: f64, gamma: &[T]) -> Self {
        let inverse = moments.inverse_deviation(epsilon);
        Self {
            centre: vec![T::ZERO; gamma.len()],
            gain: inverse.iter().zip(gamma).map(|(i, g)| T::from_f64(i * g.to_f64())).collect(),
            slope: vec![T::ZERO; gamma.len()],
            constant: vec![T::ZERO; gamma.len()],
        }
    }
}

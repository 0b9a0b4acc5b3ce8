//! Batch normalization of rows of channels.

use super::Element;
use super::activation::{Activation, Curve, by_curve};
use npair_simd::vectorised;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Mean and variance (divided by n) of every channel.
#[derive(Debug, Clone)]
pub struct Moments {
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
}

impl Moments {
    /// `1 / sqrt(variance + epsilon)`.
    pub(crate) fn inverse_deviation(&self, epsilon: f64) -> Vec<f64> {
        self.variance.iter().map(|v| (v + epsilon).sqrt().recip()).collect()
    }
}

/// Values that a task reads before it joins what it found: they stay in the first or second cache meanwhile.
const BLOCK: usize = 1 << 13;

/// Blocks that a task goes over, one after the other.
const BLOCKS: usize = 8;

/// Rows of a block.
fn block(channels: usize) -> usize {
    (BLOCK / channels).max(16)
}

/// Moments of every channel, in one pass over memory: each block of rows gives its own means and centered sums of
/// squares while it is in the cache, and blocks are joined in f64 (Chan, Golub and LeVeque, 1983), so nothing cancels.
pub(crate) fn moments<T: Element>(channels: usize, x: &[T]) -> Moments {
    join(channels, x.par_chunks(channels * block(channels) * BLOCKS).map(|rows| part(channels, rows)).collect())
}

vectorised! {
    /// What is needed of some rows.
    pub(crate) fn part<T: Element>(channels: usize, x: &[T]) -> Join {
        let rows = block(channels);
        let mut center = vec![T::ZERO; channels];
        let (mut rest, mut square) = (center.clone(), center.clone());
        let (mut mean, mut squares) = (vec![0f64; channels], vec![0f64; channels]);
        let mut all = Join::new(channels);
        for block in x.chunks(channels * rows) {
            let n = (block.len() / channels) as f64;
            let share = T::from_f64(1. / n);
            center.fill(T::ZERO);
            rest.fill(T::ZERO);
            square.fill(T::ZERO);
            for row in block.chunks_exact(channels) {
                for (m, &v) in center.iter_mut().zip(row) {
                    *m += v;
                }
            }
            // A first mean, rounded as sums in T are; everything else is relative to it, so it need not be exact.
            for m in &mut center {
                *m *= share;
            }
            for row in block.chunks_exact(channels) {
                for (((r, s), &m), &v) in rest.iter_mut().zip(&mut square).zip(&center).zip(row) {
                    *r += v - m;
                    *s += (v - m) * (v - m);
                }
            }
            for c in 0..channels {
                let rest = rest[c].to_f64();
                mean[c] = center[c].to_f64() + rest / n;
                squares[c] = (square[c].to_f64() - rest * rest / n).max(0.);
            }
            all.add(n, &mean, &squares);
        }
        all
    }
}

/// Moments of all rows from those of parts, in their order.
pub(crate) fn join(channels: usize, parts: Vec<Join>) -> Moments {
    let mut all = Join::new(channels);
    for part in &parts {
        all.add(part.n, &part.mean, &part.squares);
    }
    let n = all.n.max(1.);
    Moments { mean: all.mean, variance: all.squares.into_iter().map(|s| s / n).collect() }
}

/// Counts, means and centered sums of squares of what was seen so far.
pub(crate) struct Join {
    n: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Join {
    fn new(channels: usize) -> Self {
        Self { n: 0., mean: vec![0.; channels], squares: vec![0.; channels] }
    }

    fn add(&mut self, m: f64, mean: &[f64], squares: &[f64]) {
        let n = self.n;
        let (share, spread) = (m / (n + m), n * m / (n + m));
        for ((own, all), (own_squares, squares)) in
            mean.iter().zip(&mut self.mean).zip(squares.iter().zip(&mut self.squares))
        {
            let delta = own - *all;
            *all += delta * share;
            *squares += own_squares + delta * delta * spread;
        }
        self.n += m;
    }
}

/// `(x - center) * scale + shift` per channel.
#[derive(Debug, Clone)]
pub(crate) struct Affine<T> {
    pub center: Vec<T>,
    /// What rounding added to the center.
    rounded: Vec<f64>,
    pub scale: Vec<T>,
    pub shift: Vec<T>,
}

impl<T: Element> Affine<T> {
    /// Normalizes with `moments`, then scales by `gamma` and adds `beta`.
    pub(crate) fn new(moments: &Moments, epsilon: f64, gamma: &[T], beta: &[T]) -> Self {
        let inverse = moments.inverse_deviation(epsilon);
        let center: Vec<T> = moments.mean.iter().map(|&m| T::from_f64(m)).collect();
        let scale: Vec<f64> = inverse.iter().zip(gamma).map(|(&i, g)| i * g.to_f64()).collect();
        // What rounding the center took is given back by the shift.
        let rounded: Vec<f64> = moments.mean.iter().zip(&center).map(|(m, c)| c.to_f64() - m).collect();
        let shift = beta.iter().zip(&scale).zip(&rounded).map(|((b, s), r)| T::from_f64(b.to_f64() + s * r)).collect();
        Self { center, rounded, scale: scale.into_iter().map(T::from_f64).collect(), shift }
    }
}

/// What follows a normalization.
#[derive(Debug, Clone, Copy)]
pub(crate) struct After<'a, T> {
    /// Rows that are added.
    pub shortcut: Option<&'a [T]>,
    /// What comes last.
    pub activation: Activation,
}

/// Normalizes rows.
pub(crate) fn apply<T: Element>(channels: usize, x: &[T], affine: &Affine<T>, after: After<T>) -> Vec<T> {
    let size = channels * block(channels);
    assert!(x.len().is_multiple_of(channels) && after.shortcut.is_none_or(|s| s.len() == x.len()));
    let write = |at: usize, out: &mut [MaybeUninit<T>]| {
        let x = &x[at..at + out.len()];
        by_curve!(after.activation, curve => match after.shortcut {
            None => normalize(x, affine, curve, out),
            Some(shortcut) => normalize_and_add(x, affine, &shortcut[at..at + out.len()], curve, out),
        });
    };
    // SAFETY: chunks are whole rows (asserted above), and every value of a row is written.
    unsafe { super::write_by_chunks(x.len(), size, write) }
}

vectorised! {
    fn normalize<T: Element, C: Curve>(x: &[T], affine: &Affine<T>, curve: C, out: &mut [MaybeUninit<T>]) {
        let channels = affine.center.len();
        let (a, s, b) = (&affine.center[..channels], &affine.scale[..channels], &affine.shift[..channels]);
        for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            for c in 0..channels {
                out[c].write(curve.value((x[c] - a[c]) * s[c] + b[c]));
            }
        }
    }

    fn normalize_and_add<T: Element, C: Curve>(
        x: &[T],
        affine: &Affine<T>,
        shortcut: &[T],
        curve: C,
        out: &mut [MaybeUninit<T>],
    ) {
        let channels = affine.center.len();
        let (a, s, b) = (&affine.center[..channels], &affine.scale[..channels], &affine.shift[..channels]);
        let shortcut = shortcut.chunks_exact(channels);
        for ((out, x), add) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(shortcut) {
            for c in 0..channels {
                out[c].write(curve.value((x[c] - a[c]) * s[c] + b[c] + add[c]));
            }
        }
    }

    /// Sums of the gradient and of the gradient times the centered input, per channel.
    fn gradient_sums<T: Element, C: Curve>(x: &[T], grad: &[T], affine: &Affine<T>, curve: C) -> Vec<f64> {
        let channels = affine.center.len();
        let size = channels * block(channels);
        let (a, s, b) = (&affine.center[..channels], &affine.scale[..channels], &affine.shift[..channels]);
        let mut total = vec![0f64; 2 * channels];
        let (mut plain, mut scaled) = (vec![T::ZERO; channels], vec![T::ZERO; channels]);
        for (x, grad) in x.chunks(size).zip(grad.chunks(size)) {
            plain.fill(T::ZERO);
            scaled.fill(T::ZERO);
            let (plain, scaled) = (&mut plain[..channels], &mut scaled[..channels]);
            for (x, grad) in x.chunks_exact(channels).zip(grad.chunks_exact(channels)) {
                for c in 0..channels {
                    let g = curve.vjp((x[c] - a[c]) * s[c] + b[c], grad[c]);
                    plain[c] += g;
                    scaled[c] += g * (x[c] - a[c]);
                }
            }
            for c in 0..channels {
                total[c] += plain[c].to_f64();
                total[channels + c] += scaled[c].to_f64();
            }
        }
        total
    }

    /// `scale (g - mean - (x - center) slope)`, with mean and slope per channel.
    fn input_gradient<T: Element, C: Curve>(
        x: &[T],
        grad: &[T],
        affine: &Affine<T>,
        curve: C,
        means: [&[T]; 2],
        out: &mut [MaybeUninit<T>],
    ) {
        let channels = affine.center.len();
        let (a, s, b) = (&affine.center[..channels], &affine.scale[..channels], &affine.shift[..channels]);
        let [mean, slope] = means.map(|of| &of[..channels]);
        let rows = out.chunks_exact_mut(channels).zip(x.chunks_exact(channels).zip(grad.chunks_exact(channels)));
        for (out, (x, grad)) in rows {
            for c in 0..channels {
                let g = curve.vjp((x[c] - a[c]) * s[c] + b[c], grad[c]);
                out[c].write(s[c] * (g - mean[c] - (x[c] - a[c]) * slope[c]));
            }
        }
    }
}

/// Gradients of input, gamma and beta, from the gradient behind the normalization.
pub(crate) struct Gradient<T> {
    pub gamma: Vec<T>,
    pub beta: Vec<T>,
    pub input: Option<Vec<T>>,
}

/// How gradients are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backward {
    /// What follows the normalization, whose values are made again from the input; none if the gradient has been led
    /// through it already.
    pub activation: Activation,
    /// Whether the moments are those of the input itself.
    pub of_batch: bool,
    /// Whether the input's gradient is wanted.
    pub wants_input: bool,
}

/// Backward half of [`apply`]; `inverse` is `1 / sqrt(variance + epsilon)`.
pub(crate) fn gradient<T: Element>(
    x: &[T],
    grad: &[T],
    affine: &Affine<T>,
    inverse: &[f64],
    how: Backward,
) -> Gradient<T> {
    let (channels, Backward { activation, of_batch, wants_input }) = (affine.center.len(), how);
    let size = channels * block(channels);
    let parts = x.par_chunks(size * BLOCKS).zip(grad.par_chunks(size * BLOCKS));
    let sums = |(x, grad)| by_curve!(activation, curve => gradient_sums(x, grad, affine, curve));
    let sums: Vec<Vec<f64>> = parts.map(sums).collect();
    let mut total = vec![0f64; 2 * channels];
    for sum in sums {
        for (t, s) in total.iter_mut().zip(sum) {
            *t += s;
        }
    }
    let (plain, scaled) = total.split_at_mut(channels);
    // The sums were taken around the rounded center.
    for ((s, p), r) in scaled.iter_mut().zip(&*plain).zip(&affine.rounded) {
        *s += p * r;
    }
    let n = if of_batch { (x.len() / channels) as f64 } else { f64::INFINITY };
    // dx = scale (g - mean g - (x - center) inverse^2 mean(g (x - center))): the means vanish for constant moments.
    let slope: Vec<f64> = scaled.iter().zip(inverse).map(|(v, i)| v * i * i / n).collect();
    let mean = plain.iter().zip(&slope).zip(&affine.rounded).map(|((v, s), r)| T::from_f64(v / n + s * r));
    let (mean, slope): (Vec<T>, Vec<T>) = (mean.collect(), slope.iter().map(|&s| T::from_f64(s)).collect());
    assert!(x.len().is_multiple_of(channels) && grad.len() == x.len());
    let input = wants_input.then(|| {
        let write = |at: usize, out: &mut [MaybeUninit<T>]| {
            let (x, grad) = (&x[at..at + out.len()], &grad[at..at + out.len()]);
            by_curve!(activation, curve => input_gradient(x, grad, affine, curve, [&mean, &slope], out));
        };
        // SAFETY: chunks are whole rows (asserted above), and every value of a row is written.
        unsafe { super::write_by_chunks(x.len(), size, write) }
    });
    Gradient {
        gamma: scaled.iter().zip(inverse).map(|(v, i)| T::from_f64(v * i)).collect(),
        beta: plain.iter().map(|&v| T::from_f64(v)).collect(),
        input,
    }
}

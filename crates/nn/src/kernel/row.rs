//! Rows of a matrix: sums, layer normalization, soft-max.

use super::{Element, Unwritten, write_by_chunks};
use npair_simd::vectorised;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Rows that one task works on, and over which a partial sum runs; fixed, so that the bits do not depend on the
/// threads.
pub(crate) const ROWS: usize = 32;

/// Partial sums of this many independent lanes: vector code without reordering a sum.
const LANES: usize = 16;

/// `sum f(a_i, b_i)` in a fixed order, the lanes joined in f64.
#[inline(always)]
pub(crate) fn sum<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> f64 {
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

/// Sums over rows: `add` puts what [`ROWS`] rows give into zeroed sums of `width` values; the parts are joined in f64,
/// in their order.
pub(crate) fn sum_down<T: Element>(rows: usize, width: usize, add: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let part = |from: usize| {
        let mut sums = vec![T::ZERO; width];
        add_rows(from..(from + ROWS).min(rows), &add, &mut sums);
        sums
    };
    let starts: Vec<usize> = (0..rows).step_by(ROWS).collect();
    join(width, starts.into_par_iter().map(part).collect())
}

/// The sum of parts of `width` values each, in f64.
fn join<T: Element>(width: usize, parts: Vec<Vec<T>>) -> Vec<T> {
    let mut total = vec![0f64; width];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p.to_f64());
    }
    total.into_iter().map(T::from_f64).collect()
}

/// Mean and inverse standard deviation of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments<T> {
    pub mean: T,
    pub inverse: T,
}

/// `(x - mean) / sqrt(variance + epsilon) gamma + beta` of every row, and the moments.
pub(crate) fn normalize<T: Element>(x: &[T], gamma: &[T], beta: &[T], epsilon: f64) -> (Vec<T>, Vec<Moments<T>>) {
    let width = gamma.len();
    assert!(x.len().is_multiple_of(width) && beta.len() == width);
    let mut out = Unwritten::new(x.len());
    let mut moments = vec![Moments { mean: T::ZERO, inverse: T::ZERO }; x.len() / width];
    let tasks =
        out.values_mut().par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).zip(moments.par_chunks_mut(ROWS));
    tasks.for_each(|((out, x), moments)| {
        normalize_rows(x, gamma, beta, epsilon, out, moments);
    });
    // SAFETY: the tasks cover everything, whole rows each (asserted above), and write all of a row.
    (unsafe { out.written() }, moments)
}

/// The gradient of [`normalize`] to its input.
pub(crate) fn normalize_vjp<T: Element>(x: &[T], gamma: &[T], moments: &[Moments<T>], grad: &[T]) -> Vec<T> {
    let width = gamma.len();
    let mut dx = vec![T::ZERO; x.len()];
    let block = ROWS * width;
    let tasks = dx.par_chunks_mut(block).zip(x.par_chunks(block)).zip(grad.par_chunks(block));
    tasks.zip(moments.par_chunks(ROWS)).for_each(|(((dx, x), grad), moments)| {
        normalize_rows_vjp(x, gamma, moments, grad, dx);
    });
    dx
}

/// The gradients of [`normalize`] to its input, scale and shift, in one pass over memory.
pub(crate) fn normalize_all_vjp<T: Element>(x: &[T], gamma: &[T], moments: &[Moments<T>], grad: &[T]) -> [Vec<T>; 3] {
    let width = gamma.len();
    assert!(x.len() == grad.len() && x.len() == moments.len() * width);
    let mut dx = Unwritten::new(x.len());
    let block = ROWS * width;
    let tasks = dx.values_mut().par_chunks_mut(block).zip(x.par_chunks(block)).zip(grad.par_chunks(block));
    let part = |dx: &mut [MaybeUninit<T>], [x, grad]: [&[T]; 2], moments: &[Moments<T>]| {
        dx.fill(MaybeUninit::new(T::ZERO));
        let mut sums = [(); 2].map(|()| vec![T::ZERO; width]);
        // SAFETY: they have just been written, into the cache, in which they are now made.
        normalize_rows_vjp(x, gamma, moments, grad, unsafe { npair_simd::written(dx) });
        add_rows_vjp(x, moments, grad, &mut sums);
        sums
    };
    let parts: Vec<[Vec<T>; 2]> =
        tasks.zip(moments.par_chunks(ROWS)).map(|(((dx, x), grad), moments)| part(dx, [x, grad], moments)).collect();
    let (scale, shift) = parts.into_iter().map(|[scale, shift]| (scale, shift)).unzip();
    // SAFETY: the tasks cover everything (asserted above).
    [unsafe { dx.written() }, join(width, scale), join(width, shift)]
}

/// The gradient of [`normalize`] to its scale; that to its shift is the sum of the rows of `grad`.
pub(crate) fn normalize_scale_vjp<T: Element>(x: &[T], width: usize, moments: &[Moments<T>], grad: &[T]) -> Vec<T> {
    sum_down(moments.len(), width, |row, sums| {
        let (x, grad, m) = (&x[row * width..][..width], &grad[row * width..][..width], moments[row]);
        for ((s, &x), &g) in sums.iter_mut().zip(x).zip(grad) {
            *s += g * ((x - m.mean) * m.inverse);
        }
    })
}

/// Sum over the rows of the entrywise product of two matrices.
pub(crate) fn column_products<T: Element>(a: &[T], b: &[T], width: usize) -> Vec<T> {
    sum_down(a.len() / width, width, |row, sums| {
        let (a, b) = (&a[row * width..][..width], &b[row * width..][..width]);
        for ((s, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    })
}

/// Every row times `factors`, entry by entry.
pub(crate) fn scale<T: Element>(x: &[T], factors: &[T]) -> Vec<T> {
    let width = factors.len();
    assert!(x.len().is_multiple_of(width));
    // SAFETY: chunks are whole rows (asserted above), and all of a row is written.
    unsafe {
        write_by_chunks(x.len(), ROWS * width, |at, out| {
            scale_by(&x[at..at + out.len()], factors, out);
        })
    }
}

/// Every row times its own factor; as many rows as factors.
pub(crate) fn scale_rows<T: Element>(x: &[T], factors: &[f64]) -> Vec<T> {
    times(x, &factors.iter().map(|&f| T::from_f64(f)).collect::<Vec<_>>())
}

/// Every one of as many rows as factors times its own factor.
pub(crate) fn times<T: Element>(x: &[T], factors: &[T]) -> Vec<T> {
    let width = x.len().checked_div(factors.len()).unwrap_or(0);
    assert_eq!(x.len(), width * factors.len());
    // SAFETY: a chunk is a row, all of which is written.
    unsafe {
        write_by_chunks(x.len(), width, |at, out| {
            times_one(&x[at..at + out.len()], factors[at / width], out);
        })
    }
}

/// Inner products of the rows of two matrices with `rows` rows, one by one.
pub(crate) fn dots<T: Element>(a: &[T], b: &[T], rows: usize) -> Vec<f64> {
    let width = (a.len() / rows.max(1)).max(1);
    a.par_chunks_exact(width).zip(b.par_chunks_exact(width)).map(|(a, b)| dot(a, b)).collect()
}

/// The largest value of a row; NaN is passed over.
#[inline(always)]
fn largest<T: Element>(row: &[T]) -> T {
    let larger = |m: T, x: T| if x > m { x } else { m };
    let mut lanes = [T::NEG_INFINITY; LANES];
    let mut chunks = row.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    lanes.iter().chain(chunks.remainder()).fold(T::NEG_INFINITY, |m, &x| larger(m, x))
}

/// `e^(scale (x_i - max))` of the first `count` values of a row, in place, and 0 in the rest of it; a row that is whole cache
/// lines long has no end that is computed value by value. Returns maximum and inverse sum, of which [`weigh_again`] makes the
/// soft-max. A NaN makes the sum NaN, and is seen.
#[inline(always)]
pub(crate) fn weigh<T: Element>(row: &mut [T], count: usize, scale: T) -> [T; 2] {
    let max = largest(&row[..count]);
    row.iter_mut().for_each(|x| *x = ((*x - max) * scale).exp_negative());
    row[count..].fill(T::ZERO);
    [max, T::from_f64(sum(row, row, |x, _| x).recip())]
}

/// The soft-max of such a row, from what [`weigh`] returned.
#[inline(always)]
pub(crate) fn weigh_again<T: Element>(row: &mut [T], count: usize, scale: T, [max, inverse]: [T; 2]) {
    row.iter_mut().for_each(|x| *x = ((*x - max) * scale).exp_negative() * inverse);
    row[count..].fill(T::ZERO);
}

/// Soft-max of every row.
pub(crate) fn softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    let mut out = x.to_vec();
    out.par_chunks_mut(ROWS * width).for_each(|rows| {
        softmax_rows(rows, width);
    });
    out
}

/// The gradient of [`softmax`], from its result: `p_i (g_i - sum_j p_j g_j)`.
pub(crate) fn softmax_vjp<T: Element>(out: &[T], width: usize, grad: &[T]) -> Vec<T> {
    let mut dx = vec![T::ZERO; out.len()];
    let block = ROWS * width;
    dx.par_chunks_mut(block).zip(out.par_chunks(block)).zip(grad.par_chunks(block)).for_each(|((dx, out), grad)| {
        softmax_rows_vjp(out, grad, width, dx);
    });
    dx
}

vectorised! {
    fn dot<T: Element>(a: &[T], b: &[T]) -> f64 {
        sum(a, b, |a, b| a * b)
    }

    fn add_rows<T: Element, F: Fn(usize, &mut [T])>(rows: std::ops::Range<usize>, add: &F, sums: &mut [T]) {
        rows.for_each(|row| add(row, sums));
    }

    fn normalize_rows<T: Element>(x: &[T], gamma: &[T], beta: &[T], epsilon: f64, out: &mut [MaybeUninit<T>], moments: &mut [Moments<T>]) {
        let width = gamma.len();
        for ((out, x), found) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(moments) {
            let n = width as f64;
            // A first mean, rounded as sums in T are; the rest is relative to it, so that nothing cancels.
            let center = T::from_f64(sum(x, x, |v, _| v) / n);
            let rest = sum(x, x, |v, _| v - center) / n;
            let variance = (sum(x, x, |v, _| (v - center) * (v - center)) / n - rest * rest).max(0.);
            let mean = T::from_f64(center.to_f64() + rest);
            let inverse = T::from_f64((variance + epsilon).sqrt().recip());
            *found = Moments { mean, inverse };
            for (((o, &x), &g), &b) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
                o.write((x - mean) * inverse * g + b);
            }
        }
    }

    /// Adds what rows give to the gradients of scale and shift.
    fn add_rows_vjp<T: Element>(x: &[T], moments: &[Moments<T>], grad: &[T], sums: &mut [Vec<T>; 2]) {
        let [scale, shift] = sums;
        let width = scale.len();
        for ((x, grad), m) in x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(moments) {
            for (((scale, shift), &x), &g) in scale.iter_mut().zip(shift.iter_mut()).zip(x).zip(grad) {
                *scale += g * ((x - m.mean) * m.inverse);
                *shift += g;
            }
        }
    }

    fn normalize_rows_vjp<T: Element>(x: &[T], gamma: &[T], moments: &[Moments<T>], grad: &[T], dx: &mut [T]) {
        let width = gamma.len();
        let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(grad.chunks_exact(width));
        for (((dx, x), grad), m) in rows.zip(moments) {
            for ((d, &g), &scale) in dx.iter_mut().zip(grad).zip(gamma) {
                *d = g * scale;
            }
            let n = width as f64;
            let plain = T::from_f64(sum(dx, dx, |d, _| d) / n);
            let along = T::from_f64(sum(dx, x, |d, x| d * ((x - m.mean) * m.inverse)) / n);
            for (d, &x) in dx.iter_mut().zip(x) {
                *d = (*d - plain - (x - m.mean) * m.inverse * along) * m.inverse;
            }
        }
    }

    fn scale_by<T: Element>(x: &[T], factors: &[T], out: &mut [MaybeUninit<T>]) {
        let width = factors.len();
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            out.iter_mut().zip(x).zip(factors).for_each(|((o, &x), &f)| {
                o.write(x * f);
            });
        }
    }

    fn times_one<T: Element>(x: &[T], factor: T, out: &mut [MaybeUninit<T>]) {
        for (out, &x) in out.iter_mut().zip(x) {
            out.write(x * factor);
        }
    }

    fn softmax_rows<T: Element>(rows: &mut [T], width: usize) {
        for row in rows.chunks_exact_mut(width) {
            let [_, inverse] = weigh(row, width, T::ONE);
            row.iter_mut().for_each(|x| *x *= inverse);
        }
    }

    fn softmax_rows_vjp<T: Element>(out: &[T], grad: &[T], width: usize, dx: &mut [T]) {
        let rows = dx.chunks_exact_mut(width).zip(out.chunks_exact(width)).zip(grad.chunks_exact(width));
        for ((dx, p), g) in rows {
            let mean = T::from_f64(sum(p, g, |p, g| p * g));
            for ((d, &p), &g) in dx.iter_mut().zip(p).zip(g) {
                *d = p * (g - mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // Mean 2, variance 1 of (1, 3): -1 and 1.
        let (out, _) = normalize(&[1f64, 3.], &[1., 2.], &[0., 1.], 0.);
        assert_eq!(out, [-1., 3.]);
        let p = softmax(&[0f64, 2f64.ln(), 4f64.ln()], 3);
        for (p, want) in p.iter().zip([1. / 7., 2. / 7., 4. / 7.]) {
            assert!((p - want).abs() < 1e-15);
        }
        assert!(softmax(&[1f32, f32::NAN], 2).iter().all(|p| p.is_nan()));
        assert_eq!(column_products(&[1f32, 2., 3., 4.], &[5., 6., 7., 8.], 2), [26., 44.]);
    }
}

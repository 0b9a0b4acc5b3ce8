//! Loops over a row of the matrix, compiled for the machine's vector instructions.
//!
//! Products and sums are never fused or reordered by the compiler, so every version of a loop gives the same bits.

use crate::Element;
use npair_simd::vectorised;

/// Partial results that a loop keeps side by side.
pub(crate) const LANES: usize = 16;

vectorised! {
    /// Whether no value is infinite or NaN.
    pub(crate) fn all_finite<T: Element>(values: &[T]) -> bool {
        values.chunks(1024).all(|c| c.iter().fold(true, |ok, v| ok & v.wide().is_finite()))
    }

    /// The largest values of rows of `width`, added lane by lane to those found so far; NaNs are passed over.
    pub(crate) fn largest<T: Element>(lines: &[T], width: usize, most: &mut [[T; LANES]]) {
        for (line, most) in lines.chunks_exact(width).zip(most) {
            for chunk in line.chunks(LANES) {
                for (most, &v) in most.iter_mut().zip(chunk) {
                    *most = if v > *most { v } else { *most };
                }
            }
        }
    }

    /// Every value of rows of `width` becomes `exp(value - base)`, where a row's base is none below any of its values; their
    /// sums, lane by lane.
    pub(crate) fn exps<T: Element>(lines: &mut [T], width: usize, bases: &[T], sums: &mut [[f64; LANES]]) {
        for ((line, &base), sums) in lines.chunks_exact_mut(width).zip(bases).zip(sums) {
            for chunk in line.chunks_mut(LANES) {
                for (sum, v) in sums.iter_mut().zip(chunk) {
                    *v = (*v - base).exp_negative();
                    *sum += v.wide();
                }
            }
        }
    }

    /// The sums of `log(1 + exp(value - above))` over rows of `width`, lane by lane; every value becomes its derivative, the
    /// logistic function.
    pub(crate) fn softplus<T: Element>(lines: &mut [T], width: usize, above: &[T], sums: &mut [[f64; LANES]], weights: &mut [[f64; LANES]]) {
        for (((line, &above), sums), weights) in lines.chunks_exact_mut(width).zip(above).zip(sums).zip(weights) {
            for chunk in line.chunks_mut(LANES) {
                for ((sum, weight), v) in sums.iter_mut().zip(weights.iter_mut()).zip(chunk) {
                    let x = *v - above;
                    let negative = x < T::ZERO;
                    let e = (if negative { x } else { T::ZERO - x }).exp_negative();
                    // In the type of the sum: the two parts may differ by many powers of two.
                    let positive = if negative { T::ZERO } else { x };
                    *sum += positive.wide() + e.ln_1p_unit().wide();
                    *v = (if negative { e } else { T::ONE }) / (T::ONE + e);
                    *weight += v.wide();
                }
            }
        }
    }

    /// Every value of rows of `width` times the row's factor.
    pub(crate) fn scale<T: Element>(lines: &mut [T], width: usize, factors: &[T]) {
        for (line, &factor) in lines.chunks_exact_mut(width).zip(factors) {
            for v in line {
                *v *= factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_over_rows_of_any_length() {
        for n in [1, 15, 16, 17, 100] {
            let lines: Vec<f64> = (0..2 * n).map(|i| f64::from(i as u32 * 37 % 23) * 0.3 - 3.).collect();
            let halves = [&lines[..n], &lines[n..]];
            let mut lanes = [[f64::NEG_INFINITY; LANES]; 2];
            largest(&lines, n, &mut lanes);
            let most = lanes.map(|l| l.into_iter().fold(f64::NEG_INFINITY, f64::max));
            assert_eq!(most, halves.map(|h| h.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
            let (mut e, mut sums) = (lines.clone(), [[0.; LANES]; 2]);
            exps(&mut e, n, &most, &mut sums);
            for k in 0..2 {
                let (sum, want): (f64, f64) =
                    (sums[k].iter().sum(), halves[k].iter().map(|x| (x - most[k]).exp()).sum());
                // A hundred terms, each within two units in the last place.
                assert!((sum - want).abs() <= 1e-13 * want, "{n}: {sum} {want}");
            }
            let mut twice = e.clone();
            scale(&mut twice, n, &[2., 3.]);
            assert!((0..2 * n).all(|i| twice[i] == e[i] * if i < n { 2. } else { 3. }));
            let (mut s, mut sums, mut weights) = (lines.clone(), [[0.; LANES]; 2], [[0.; LANES]; 2]);
            softplus(&mut s, n, &[0.5, -1.], &mut sums, &mut weights);
            for (k, above) in [(0, 0.5), (1, -1.)] {
                let (sum, want): (f64, f64) =
                    (sums[k].iter().sum(), halves[k].iter().map(|x| (x - above).exp().ln_1p()).sum());
                assert!((sum - want).abs() <= 1e-13 * want.max(1.), "{n}: {sum} {want}");
                for (w, x) in s[k * n..].iter().zip(halves[k]) {
                    assert!((w - 1. / (1. + (above - x).exp())).abs() <= 4. * f64::EPSILON);
                }
                let (sum, want): (f64, f64) = (weights[k].iter().sum(), s[k * n..(k + 1) * n].iter().sum());
                assert!((sum - want).abs() <= 1e-13 * want);
            }
        }
        let mut bad = vec![0f32; 5000];
        assert!(all_finite(&bad));
        bad[4999] = f32::NEG_INFINITY;
        assert!(!all_finite(&bad));
        bad[4999] = f32::NAN;
        assert!(!all_finite(&bad));
        let mut lanes = [[f32::NEG_INFINITY; LANES]];
        largest(&bad, 5000, &mut lanes);
        assert!(lanes[0].iter().all(|&v| v == 0.));
    }
}

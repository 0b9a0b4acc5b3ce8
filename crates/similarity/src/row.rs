//! Loops over one row of the matrix that losses and miners share, compiled for the machine's vector instructions.

use crate::Element;
use npair_simd::vectorised;

/// Partial results that a loop keeps side by side.
const LANES: usize = 16;

vectorised! {
    /// The smallest value, infinity if there is none.
    fn smallest_of<T: Element>(line: &[T]) -> T {
        let none = T::INFINITY;
        let mut lanes = [none; LANES];
        let mut chunks = line.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (least, &v) in lanes.iter_mut().zip(chunk) {
                *least = if v < *least { v } else { *least };
            }
        }
        lanes.iter().chain(chunks.remainder()).fold(none, |least, &v| if v < least { v } else { least })
    }

    /// The largest value, minus infinity if there is none.
    fn largest_of<T: Element>(line: &[T]) -> T {
        let none = T::NEG_INFINITY;
        let mut lanes = [none; LANES];
        let mut chunks = line.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (most, &v) in lanes.iter_mut().zip(chunk) {
                *most = if v > *most { v } else { *most };
            }
        }
        lanes.iter().chain(chunks.remainder()).fold(none, |most, &v| if v > most { v } else { most })
    }

    /// Every value becomes `exp(factor (value - at))`; their sum.
    fn exps_of<T: Element>(line: &mut [T], factor: T, at: T) -> f64 {
        let mut lanes = [0f64; LANES];
        for chunk in line.chunks_mut(LANES) {
            for (sum, v) in lanes.iter_mut().zip(chunk) {
                *v = (factor * (*v - at)).exp_negative();
                *sum += v.wide();
            }
        }
        lanes.iter().fold(0., |a, b| a + b)
    }

    /// Every value becomes the logistic function `1 / (1 + exp(-factor (value - at)))`; their sum.
    fn logistics_of<T: Element>(line: &mut [T], factor: T, at: T) -> f64 {
        let mut lanes = [0f64; LANES];
        for chunk in line.chunks_mut(LANES) {
            for (sum, v) in lanes.iter_mut().zip(chunk) {
                let x = factor * (*v - at);
                let negative = x < T::ZERO;
                let e = (if negative { x } else { T::ZERO - x }).exp_negative();
                *v = (if negative { e } else { T::ONE }) / (T::ONE + e);
                *sum += v.wide();
            }
        }
        lanes.iter().fold(0., |a, b| a + b)
    }
}

/// The largest value, minus infinity if there is none; NaNs are passed over.
pub fn largest<T: Element>(line: &[T]) -> T {
    largest_of(line)
}

/// The smallest value, infinity if there is none; NaNs are passed over.
pub fn smallest<T: Element>(line: &[T]) -> T {
    smallest_of(line)
}

/// Every value becomes `exp(factor (value - at))`, where no argument is above 0; returns their sum, in f64. The exponential
/// of minus infinity is 0: hidden entries take no part.
///
/// # Numerics
/// f32: within two units in the last place, and 0 below `exp(-87)`.
pub fn exps<T: Element>(line: &mut [T], factor: T, at: T) -> f64 {
    exps_of(line, factor, at)
}

/// Every value becomes `1 / (1 + exp(-factor (value - at)))`; returns their sum, in f64.
pub fn logistics<T: Element>(line: &mut [T], factor: T, at: T) -> f64 {
    logistics_of(line, factor, at)
}

/// The first place of a value, if it is there.
pub fn place_of<T: Element>(line: &[T], value: T) -> Option<usize> {
    let hit = line.chunks(LANES).position(|c| c.iter().fold(false, |hit, &v| hit | (v == value)))?;
    line[hit * LANES..].iter().position(|&v| v == value).map(|at| hit * LANES + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_over_rows_of_any_length() {
        for n in [0, 1, 15, 16, 17, 100] {
            let line: Vec<f64> = (0..n).map(|i| f64::from(i * 37 % 23) * 0.3 - 3.).collect();
            let (least, most) = line.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), &v| (l.min(v), m.max(v)));
            assert_eq!((smallest(&line), largest(&line)), (least, most));
            assert_eq!(place_of(&line, most), line.iter().position(|&v| v == most));
            assert_eq!(place_of(&line, 77.), None);
            let want: Vec<f64> = line.iter().map(|v| (-2. * (v - least)).exp()).collect();
            let mut e = line.clone();
            // A hundred terms, each rounded once.
            let sum: f64 = want.iter().sum();
            assert!((exps(&mut e, -2., least) - sum).abs() <= 1e-13 * sum, "{n}");
            // Two units in the last place of values up to 1.
            assert!(e.iter().zip(&want).all(|(e, w)| (e - w).abs() <= 2. * f64::EPSILON), "{n}");
            let mut s = line.clone();
            let sum = logistics(&mut s, 3., 0.4);
            let want: Vec<f64> = line.iter().map(|v| 1. / (1. + (-3. * (v - 0.4)).exp())).collect();
            assert!((sum - want.iter().sum::<f64>()).abs() <= 1e-13, "{n}");
            assert!(s.iter().zip(&want).all(|(s, w)| (s - w).abs() <= 4. * f64::EPSILON));
        }
        let mut hidden = [f32::NEG_INFINITY, 0.5, f32::NEG_INFINITY];
        assert_eq!((exps(&mut hidden, 3., 0.5), hidden), (1., [0., 1., 0.]));
    }
}

//! Quads: four whole numbers of 8 bits in the bits of an f32, which machines with AVX512-VNNI multiply four times as many of at a time.
//!
//! A product whose factors are quads has a quarter of the steps, and its sums are whole numbers of 32 bits in the bits of an f32, exact
//! while they fit. As with [pairs](crate::pair_rows) only the code of a tile knows ([`Columns::uniform_of_quads`](crate::Columns::uniform_of_quads)).
//! The instruction takes a left factor without a sign: its numbers are kept with 128 added.

use crate::{Element, vectorised};

/// Whether this machine multiplies quads.
pub fn can_be_multiplied() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::Level::detect() == crate::Level::Avx512 && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Added to an f32 of less than 2^22 it leaves the nearest whole number in the lowest bits.
const ROUND: f32 = 12_582_912.;

vectorised! {
    /// `values / scale`, rounded to whole numbers from -127 to 127, with 128 added to each, four in the bits of every value of `to`;
    /// the last ones of a row that ends amid a quad are 0. Returns the sum of the numbers, and the squared lengths of what they are
    /// of `values` (numbers times scale) and of what is lost. With the scale 0 every number is 0.
    pub fn quad_rounded<T: Element>(values: &[T], scale: f32, to: &mut [T]) -> (i32, f64, f64) {
        // Of the smallest numbers the inverse is none; then nothing is kept, and all is lost.
        let inverse = if scale > 0. && (1. / scale).is_finite() { 1. / scale } else { 0. };
        let (mut sum, mut kept, mut lost) = ([0i32; 16], [0f64; 16], [0f64; 16]);
        for (quads, part) in to.chunks_mut(4).zip(values.chunks(16)) {
            let mut codes = [128u8; 16];
            for (i, &value) in part.iter().enumerate() {
                let near = (value.wide() as f32 * inverse).clamp(-127., 127.) + ROUND;
                let code = (near.to_bits() as i32) - (ROUND.to_bits() as i32);
                let held = f64::from(code) * f64::from(scale);
                let rest = value.wide() - held;
                sum[i] += code;
                kept[i] += held * held;
                lost[i] += rest * rest;
                codes[i] = (code + 128) as u8;
            }
            for (quad, code) in quads.iter_mut().zip(codes.as_chunks::<4>().0) {
                *quad = T::of_bits(u32::from_le_bytes(*code));
            }
        }
        (sum.iter().sum(), kept.iter().sum(), lost.iter().sum())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{Columns, Epilogue, Run, Tile, tile};

    #[test]
    fn values_are_whole_numbers_of_their_scale_and_what_is_lost() {
        let values = [1f32, -0.5, 0.26, 0., 1.27];
        let mut to = [0f32; 2];
        let (sum, kept, lost) = quad_rounded(&values, 0.01, &mut to);
        let codes: Vec<i32> = to.iter().flat_map(|v| v.to_bits().to_le_bytes()).map(|c| i32::from(c) - 128).collect();
        assert_eq!(codes, [100, -50, 26, 0, 127, 0, 0, 0]);
        assert_eq!(sum, 203);
        assert!((kept - (1. + 0.25 + 0.26 * 0.26 + 1.27 * 1.27)).abs() < 1e-6 && lost < 1e-12);
        let (_, _, lost) = quad_rounded(&[0.3f32, 100.], 0.5, &mut to);
        // 0.3 is 0.5 of it, 100 is 63.5 at most.
        assert!((lost - (0.04 + 36.5 * 36.5)).abs() < 1e-4);
        assert_eq!(quad_rounded(&[0f32; 5], 0., &mut to), (0, 0., 0.));
    }

    #[test]
    fn a_tile_of_quads_adds_the_four_products_of_every_step() {
        let columns = Columns::<f32>::uniform_of_quads(70).unwrap();
        let plain = (0..70).step_by(8).map(|first| (first, 8.min(70 - first), tile::plain_quads(2)));
        let (steps, rows) = (5, 3);
        let left = |at: usize| (at * 37 % 256) as u8;
        let right = |at: usize| (at * 91 % 255) as i32 - 127;
        let bits = |codes: [u8; 4]| f32::from_bits(u32::from_le_bytes(codes));
        let x: Vec<f32> = (0..rows * steps).map(|at| bits(std::array::from_fn(|i| left(4 * at + i)))).collect();
        for (first, count, kernel) in columns.panels.iter().copied().chain(plain) {
            let width = kernel.columns;
            let mut y = vec![0.; steps * width];
            for step in 0..steps {
                for n in 0..count {
                    y[step * width + n] =
                        bits(std::array::from_fn(|i| right(4 * step + i + 3 * (first + n)) as i8 as u8));
                }
            }
            let runs = [Run { start: 0, len: steps, step: 1 }];
            let (from, to): (Vec<usize>, Vec<usize>) = (0..rows).map(|j| (j * steps, j * count)).unzip();
            let mut out = vec![0.; rows * count];
            for (times, epilogue) in [(1, Epilogue::STORE), (2, Epilogue::ADD)] {
                let tile = Tile {
                    x: &x,
                    rows: &from,
                    runs: &runs,
                    y: &y,
                    y_step: width,
                    ahead: &[],
                    out_rows: &to,
                    columns: count,
                    epilogue,
                };
                kernel.run(&tile, &mut out);
                for (j, line) in out.chunks(count).enumerate() {
                    for (n, value) in line.iter().enumerate() {
                        let product = |k: usize| i32::from(left(4 * j * steps + k)) * right(k + 3 * (first + n));
                        assert_eq!(value.to_bits() as i32, times * (0..4 * steps).map(product).sum::<i32>());
                    }
                }
            }
        }
    }
}

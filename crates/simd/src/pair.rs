//! Pairs of bf16 in the bits of an f32: what machines with AVX512-BF16 multiply twice as many of at a time.
//!
//! A product whose factors are pairs is a product of half as many steps: every step adds both products of two pairs. Tiles, panels and
//! windows only move values, so they move pairs as they move numbers; the code of a tile alone knows
//! ([`Columns::of_pairs`](crate::Columns::of_pairs)).

use crate::{Level, vectorised};

/// Whether this machine multiplies pairs.
pub fn can_be_multiplied() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Level::detect() == Level::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The upper 16 bits of the nearest value that has no others, of two the even one; NaN stays NaN.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    // NaN of few bits would round to infinity.
    if value.is_nan() { 0x7fc0 } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 }
}

/// Two values as one: the first one low.
#[inline(always)]
pub(crate) fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(rounded(high) << 16 | rounded(low))
}

/// The two values of a pair.
#[inline(always)]
pub(crate) fn halves(pair: f32) -> [f32; 2] {
    [pair.to_bits() << 16, pair.to_bits() & 0xffff_0000].map(f32::from_bits)
}

vectorised! {
    /// Neighbours of `values` as pairs; as many pairs as `to` has room for.
    pub fn pair_neighbours<T: crate::Element>(values: &[T], to: &mut [T]) {
        for (to, two) in to.iter_mut().zip(values.chunks_exact(2)) {
            *to = T::pair(two[0], two[1]);
        }
    }

    /// Values of two rows as pairs, the first row's low.
    pub fn pair_rows<T: crate::Element>(low: &[T], high: &[T], to: &mut [T]) {
        for ((to, &low), &high) in to.iter_mut().zip(low).zip(high) {
            *to = T::pair(low, high);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{Columns, Epilogue, Run, Tile, tile};

    #[test]
    fn values_are_rounded_to_the_nearest_of_eight_bits() {
        let near = 1. + 1. / 256.;
        let cases =
            [(1., 1.), (near, 1.), (1. + 3. / 256., 1. + 1. / 64.), (near + 1e-6, 1. + 1. / 128.), (-2.5, -2.5)];
        for (value, want) in cases {
            assert_eq!(halves(pair(value, -value)), [want, -want], "{value}");
        }
        assert!(halves(pair(f32::NAN, f32::from_bits(0x7f80_0001))).iter().all(|v| v.is_nan()));
        assert_eq!(halves(pair(f32::INFINITY, f32::MAX)), [f32::INFINITY; 2]);
    }

    /// Whole numbers that bf16 holds: sums of products are exact.
    #[test]
    fn a_tile_of_pairs_adds_both_products_of_every_step() {
        let columns = Columns::<f32>::of_pairs(70).unwrap();
        let plain = (0..70).step_by(8).map(|first| (first, 8.min(70 - first), tile::plain_pairs(2)));
        let (steps, rows) = (5, 3);
        let value = |at: usize| (at * 7 % 23) as f32 - 11.;
        let x: Vec<f32> = (0..rows * 2 * steps).map(value).collect();
        let mut pairs = vec![0.; rows * steps];
        pair_neighbours(&x, &mut pairs);
        for (first, count, kernel) in columns.panels.iter().copied().chain(plain) {
            let width = kernel.columns;
            let mut y = vec![0.; steps * width];
            for step in 0..steps {
                for n in 0..count {
                    y[step * width + n] = pair(value(2 * step + first + n), value(2 * step + first + n + 1));
                }
            }
            let runs = [Run { start: 0, len: steps, step: 1 }];
            let (from, to): (Vec<usize>, Vec<usize>) = (0..rows).map(|j| (j * steps, j * count)).unzip();
            let mut out = vec![0.; rows * count];
            let tile = Tile {
                x: &pairs,
                rows: &from,
                runs: &runs,
                y: &y,
                y_step: width,
                ahead: &[],
                out_rows: &to,
                columns: count,
                epilogue: Epilogue::STORE,
            };
            kernel.run(&tile, &mut out);
            for j in 0..rows {
                for n in 0..count {
                    let want: f32 = (0..2 * steps).map(|k| x[j * 2 * steps + k] * value(k + first + n)).sum();
                    assert_eq!(out[j * count + n], want);
                }
            }
        }
    }
}

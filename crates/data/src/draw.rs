//! Random numbers made with exact arithmetic alone (no logarithm, no sine), so that they are the same on every platform.

use npair_types::ChaCha8Rng;
use rand::RngCore;

/// Uniform in [0, 1), a multiple of 2^-24.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Uniform in [low, high).
pub(crate) fn between(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * unit(rng)
}

/// Uniform in [-reach, reach).
pub(crate) fn around(rng: &mut ChaCha8Rng, reach: f32) -> f32 {
    between(rng, -reach, reach)
}

/// Bell-shaped with the standard deviation `sigma`, never further than 3.5 sigma: a sum of four uniform draws.
pub(crate) fn bell(rng: &mut ChaCha8Rng, sigma: f32) -> f32 {
    // Four uniforms on [-1, 1) have the variance 4/3.
    let sum = around(rng, 1.0) + around(rng, 1.0) + around(rng, 1.0) + around(rng, 1.0);
    sum * (sigma * 0.866_025_4)
}

/// Uniform in 0..n; `n` must be small against 2^32, so that the bias does not matter.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(n)) >> 32) as u32
}

/// Shuffles in place, by Fisher and Yates; uses 64 bits a draw, so that the bias does not matter at any length.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for i in (1..items.len()).rev() {
        let j = ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize;
        items.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    #[test]
    fn moments_are_right() {
        let mut rng = Streams::new(1).open(Purpose::Synthesis, [0, 0]);
        let n = 40_000;
        let draws: Vec<f64> = (0..n).map(|_| f64::from(bell(&mut rng, 2.0))).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|d| d * d).sum::<f64>() / f64::from(n);
        // The mean's standard error is 2 / sqrt(40,000) = 0.01, the variance's about 4 sqrt(2 / 40,000) = 0.03.
        assert!(mean.abs() < 0.05 && (variance - 4.0).abs() < 0.15, "{mean} {variance}");
    }

    #[test]
    fn a_shuffle_keeps_everything() {
        let mut rng = Streams::new(1).open(Purpose::Split, [0, 0]);
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut rng, &mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        assert!((0..1000).all(|_| below(&mut rng, 3) < 3));
    }
}

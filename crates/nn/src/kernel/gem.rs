//! Generalised mean of the pixels of every channel, channels last.

use super::Element;
use rayon::prelude::*;

/// Extents: pixels of an image, channels; the exponent and the smallest value that is not lifted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gem {
    pub pixels: usize,
    pub channels: usize,
    pub power: f64,
    pub least: f64,
}

impl Gem {
    /// The largest lifted value of every channel: powers are taken relative to it and cannot overflow.
    fn maxima<T: Element>(self, x: &[T]) -> Vec<f64> {
        let mut max = vec![self.least; self.channels];
        for row in x.chunks_exact(self.channels) {
            // A comparison that keeps NaN: the mean becomes NaN and is seen.
            max.iter_mut().zip(row).for_each(|(m, x)| *m = if x.is_nan() || x.to_f64() > *m { x.to_f64() } else { *m });
        }
        max
    }

    /// `mean((x / max)^p)` of every channel.
    fn means<T: Element>(self, x: &[T], max: &[f64]) -> Vec<f64> {
        let mut sums = vec![0f64; self.channels];
        for row in x.chunks_exact(self.channels) {
            for ((s, x), m) in sums.iter_mut().zip(row).zip(max) {
                *s += (x.to_f64().max(self.least) / m).powf(self.power);
            }
        }
        sums.iter().map(|s| s / self.pixels as f64).collect()
    }

    /// `mean(max(x, least)^p)^(1/p)` of every channel: (batch, channels).
    pub(crate) fn forward<T: Element>(self, x: &[T]) -> Vec<T> {
        let images = x.par_chunks_exact(self.pixels * self.channels);
        let made = images.map(|x| {
            let max = self.maxima(x);
            let means = self.means(x, &max);
            means.iter().zip(&max).map(|(s, m)| T::from_f64(m * s.powf(self.power.recip()))).collect::<Vec<T>>()
        });
        made.collect::<Vec<_>>().concat()
    }

    /// `dx = g / n (x / y)^(p - 1)`, and 0 where x was lifted.
    pub(crate) fn input_gradient<T: Element>(self, x: &[T], out: &[T], grad: &[T]) -> Vec<T> {
        let mut dx = vec![T::ZERO; x.len()];
        let block = self.pixels * self.channels;
        dx.par_chunks_exact_mut(block).zip(x.par_chunks_exact(block)).enumerate().for_each(|(image, (dx, x))| {
            let place = image * self.channels..(image + 1) * self.channels;
            let (out, grad) = (&out[place.clone()], &grad[place]);
            for (dx, x) in dx.chunks_exact_mut(self.channels).zip(x.chunks_exact(self.channels)) {
                for c in 0..self.channels {
                    let value = x[c].to_f64();
                    if value >= self.least {
                        let slope = (value / out[c].to_f64()).powf(self.power - 1.) / self.pixels as f64;
                        dx[c] = T::from_f64(grad[c].to_f64() * slope);
                    }
                }
            }
        });
        dx
    }

    /// `dp = sum g y / p (mean(x^p ln x) / mean(x^p) - ln y)`.
    pub(crate) fn power_gradient<T: Element>(self, x: &[T], out: &[T], grad: &[T]) -> f64 {
        let images: Vec<f64> = x
            .par_chunks_exact(self.pixels * self.channels)
            .enumerate()
            .map(|(image, x)| {
                let max = self.maxima(x);
                let (mut plain, mut logs) = (vec![0f64; self.channels], vec![0f64; self.channels]);
                for row in x.chunks_exact(self.channels) {
                    for c in 0..self.channels {
                        let value = row[c].to_f64().max(self.least);
                        let power = (value / max[c]).powf(self.power);
                        plain[c] += power;
                        logs[c] += power * value.ln();
                    }
                }
                let place = image * self.channels..(image + 1) * self.channels;
                let values = out[place.clone()].iter().zip(&grad[place]).zip(plain.iter().zip(&logs));
                values.map(|((y, g), (p, l))| g.to_f64() * y.to_f64() / self.power * (l / p - y.to_f64().ln())).sum()
            })
            .collect();
        images.iter().sum()
    }
}

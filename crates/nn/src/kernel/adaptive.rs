//! Means over as many windows as asked for, whatever the image's extent; channels last.

use super::Element;
use rayon::prelude::*;
use std::ops::Range;

/// Extents: images, height and width of an image and of the map, channels.
#[derive(Debug, Clone, Copy)]
pub struct Adaptive {
    pub batch: usize,
    pub image: (usize, usize),
    pub map: (usize, usize),
    pub channels: usize,
}

/// The pixels of window `at` of `count` over `extent`: from `floor(at extent / count)` to `ceil((at + 1) extent /
/// count)`.
pub(crate) fn window(at: usize, count: usize, extent: usize) -> Range<usize> {
    at * extent / count..((at + 1) * extent).div_ceil(count)
}

impl Adaptive {
    /// Every window as (row of the map's values, pixels of the image).
    fn windows(self) -> impl Iterator<Item = (usize, impl Iterator<Item = usize> + Clone, f64)> {
        let ((height, width), (rows, columns)) = (self.image, self.map);
        (0..rows * columns).map(move |at| {
            let (ys, xs) = (window(at / columns, rows, height), window(at % columns, columns, width));
            let share = ((ys.len() * xs.len()) as f64).recip();
            (at, ys.flat_map(move |y| xs.clone().map(move |x| y * width + x)), share)
        })
    }

    pub(crate) fn forward<T: Element>(self, x: &[T]) -> Vec<T> {
        let c = self.channels;
        let mut out = vec![T::ZERO; self.batch * self.map.0 * self.map.1 * c];
        let images = x.par_chunks_exact(self.image.0 * self.image.1 * c);
        out.par_chunks_exact_mut(self.map.0 * self.map.1 * c).zip(images).for_each(|(out, x)| {
            let mut sums = vec![0f64; c];
            for (at, pixels, share) in self.windows() {
                sums.fill(0.);
                for pixel in pixels {
                    sums.iter_mut().zip(&x[pixel * c..][..c]).for_each(|(s, x)| *s += x.to_f64());
                }
                out[at * c..][..c].iter_mut().zip(&sums).for_each(|(o, s)| *o = T::from_f64(s * share));
            }
        });
        out
    }

    pub(crate) fn backward<T: Element>(self, grad: &[T]) -> Vec<T> {
        let c = self.channels;
        let mut dx = vec![T::ZERO; self.batch * self.image.0 * self.image.1 * c];
        let maps = grad.par_chunks_exact(self.map.0 * self.map.1 * c);
        dx.par_chunks_exact_mut(self.image.0 * self.image.1 * c).zip(maps).for_each(|(dx, grad)| {
            for (at, pixels, share) in self.windows() {
                let share = T::from_f64(share);
                for pixel in pixels {
                    dx[pixel * c..][..c].iter_mut().zip(&grad[at * c..][..c]).for_each(|(d, &g)| *d += g * share);
                }
            }
        });
        dx
    }
}

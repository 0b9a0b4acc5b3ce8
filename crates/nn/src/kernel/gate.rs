//! Every channel of an image times a factor of its own.

use super::Element;
use npair_simd::vectorised;
use rayon::prelude::*;

/// Pixels whose products are summed in the number type before they are joined in f64.
const PIXELS: usize = 64;

/// Images (B, pixels, C) times factors (B, C).
pub(crate) fn forward<T: Element>(x: &[T], factors: &[T], channels: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    let image = image(x.len(), factors.len(), channels);
    let images = out.par_chunks_exact_mut(image).zip(x.par_chunks_exact(image));
    images.zip(factors.par_chunks_exact(channels)).for_each(|((out, x), factors)| scale(x, factors, out));
    out
}

/// The gradient of the factors: per image, sums over its pixels.
pub(crate) fn factors_gradient<T: Element>(x: &[T], grad: &[T], batch: usize, channels: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; batch * channels];
    let image = image(x.len(), out.len(), channels);
    let images = x.par_chunks_exact(image).zip(grad.par_chunks_exact(image));
    out.par_chunks_exact_mut(channels).zip(images).for_each(|(out, (x, grad))| products(x, grad, out));
    out
}

/// Values of an image.
fn image(values: usize, factors: usize, channels: usize) -> usize {
    (values * channels / factors.max(1)).max(1)
}

vectorised! {
    fn scale<T: Element>(x: &[T], factors: &[T], out: &mut [T]) {
        let channels = factors.len();
        for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            out.iter_mut().zip(x).zip(factors).for_each(|((o, &x), &f)| *o = x * f);
        }
    }

    fn products<T: Element>(x: &[T], grad: &[T], out: &mut [T]) {
        let channels = out.len();
        let mut total = vec![0f64; channels];
        let mut sums = vec![T::ZERO; channels];
        for (x, grad) in x.chunks(channels * PIXELS).zip(grad.chunks(channels * PIXELS)) {
            sums.fill(T::ZERO);
            for (x, grad) in x.chunks_exact(channels).zip(grad.chunks_exact(channels)) {
                sums.iter_mut().zip(x).zip(grad).for_each(|((s, &x), &g)| *s += x * g);
            }
            total.iter_mut().zip(&sums).for_each(|(t, s)| *t += s.to_f64());
        }
        out.iter_mut().zip(total).for_each(|(o, t)| *o = T::from_f64(t));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // Two images of two pixels with one channel.
        let x = [1f64, 2., 3., 4.];
        assert_eq!(forward(&x, &[10., 100.], 1), [10., 20., 300., 400.]);
        assert_eq!(factors_gradient(&x, &[1., 1., 2., 0.], 2, 1), [3., 6.]);
        assert!(forward::<f32>(&[], &[], 3).is_empty());
    }
}

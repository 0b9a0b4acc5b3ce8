//! Local response normalization of (pixels, channels), across channels.

use super::Element;
use npair_simd::vectorised;
use rayon::prelude::*;

/// Pixels that one task works on.
const PIXELS: usize = 64;

/// `y_c = x_c / s_c^beta` with `s_c = k + alpha / n sum x_j^2` over the n channels around c.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    pub size: usize,
    pub alpha: f64,
    pub beta: f64,
    pub k: f64,
}

impl Response {
    /// Channels before and after c that count: of an even number, one more before.
    pub(crate) fn reach(self) -> (usize, usize) {
        (self.size / 2, (self.size - 1) / 2)
    }

    /// `out_c = sum over j = c - before ..= c + after of x_j`, what lies outside counting as 0. `padded` is room for
    /// it.
    #[inline(always)]
    fn window<T: Element>(x: &[T], (before, after): (usize, usize), padded: &mut Vec<T>, out: &mut [T]) {
        padded.clear();
        padded.resize(before, T::ZERO);
        padded.extend_from_slice(x);
        padded.resize(before + x.len() + after, T::ZERO);
        out.fill(T::ZERO);
        for shift in 0..=before + after {
            out.iter_mut().zip(&padded[shift..]).for_each(|(o, &p)| *o += p);
        }
    }

    /// `s^-beta`; the usual 3/4 by square roots, which are vector instructions.
    #[inline(always)]
    fn power<T: Element>(self, s: T) -> T {
        if self.beta == 0.75 {
            let root = s.root();
            return T::ONE / (root * root.root());
        }
        T::from_f64(s.to_f64().powf(-self.beta))
    }

    /// Fills `s` for a pixel.
    #[inline(always)]
    fn sums<T: Element>(self, x: &[T], [squares, padded]: [&mut Vec<T>; 2], s: &mut [T]) {
        squares.clear();
        squares.extend(x.iter().map(|&x| x * x));
        Self::window(squares, self.reach(), padded, s);
        let (k, alpha) = (T::from_f64(self.k), T::from_f64(self.alpha / self.size as f64));
        s.iter_mut().for_each(|s| *s = k + alpha * *s);
    }

    pub(crate) fn forward<T: Element>(self, x: &[T], channels: usize) -> Vec<T> {
        let mut out = vec![T::ZERO; x.len()];
        let block = PIXELS * channels;
        out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| {
            pixels(self, x, channels, out);
        });
        out
    }

    /// `dx_c = g_c s_c^-beta - 2 alpha beta / n x_c sum g_j x_j s_j^(-beta-1)` over the j whose sum c is in.
    pub(crate) fn backward<T: Element>(self, x: &[T], channels: usize, grad: &[T]) -> Vec<T> {
        let mut dx = vec![T::ZERO; x.len()];
        let block = PIXELS * channels;
        let factor = T::from_f64(2. * self.alpha * self.beta / self.size as f64);
        dx.par_chunks_mut(block).zip(x.par_chunks(block)).zip(grad.par_chunks(block)).for_each(|((dx, x), grad)| {
            pixels_vjp(self, x, channels, grad, factor, dx);
        });
        dx
    }
}

vectorised! {
    fn pixels<T: Element>(norm: Response, x: &[T], channels: usize, out: &mut [T]) {
        let [mut squares, mut padded] = [Vec::new(), Vec::new()];
        for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            norm.sums(x, [&mut squares, &mut padded], out);
            out.iter_mut().zip(x).for_each(|(o, &x)| *o = x * norm.power(*o));
        }
    }

    fn pixels_vjp<T: Element>(norm: Response, x: &[T], channels: usize, grad: &[T], factor: T, dx: &mut [T]) {
        let (before, after) = norm.reach();
        let [mut squares, mut padded] = [Vec::new(), Vec::new()];
        let [mut s, mut pull] = [vec![T::ZERO; channels], vec![T::ZERO; channels]];
        let pixels = dx.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
        for ((dx, x), grad) in pixels.zip(grad.chunks_exact(channels)) {
            norm.sums(x, [&mut squares, &mut padded], &mut s);
            for c in 0..channels {
                let power = norm.power(s[c]);
                squares[c] = grad[c] * x[c] * power / s[c];
                s[c] = power;
            }
            Response::window(&squares, (after, before), &mut padded, &mut pull);
            for c in 0..channels {
                dx[c] = grad[c] * s[c] - factor * x[c] * pull[c];
            }
        }
    }
}

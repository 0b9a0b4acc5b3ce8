//! Attention among the tokens of an image, head by head; never more than a block of rows of the soft-max is kept.

use super::Element;
use super::matrix::{Place, product};
use super::row::{softmax_row, softmax_row_again, sum};
use npair_simd::vectorised;
use rayon::prelude::*;

/// Rows of the soft-max that are made at a time.
const ROWS: usize = 64;

/// Extents: images, tokens of one, heads, width of one.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    pub batch: usize,
    pub tokens: usize,
    pub heads: usize,
    pub width: usize,
}

/// Maximum and inverse sum of every row of the soft-max: (batch, head, token).
pub(crate) type Rows<T> = Vec<[T; 2]>;

impl Heads {
    fn channels(self) -> usize {
        self.heads * self.width
    }

    fn scale<T: Element>(self) -> T {
        T::from_f64((self.width as f64).sqrt().recip())
    }

    /// Queries, keys and values (tokens, width) of an image's head in (batch, tokens, 3, heads, width).
    fn views<T>(self, qkv: &[T], image: usize, head: usize) -> [&[T]; 3] {
        let at = image * self.tokens * 3 * self.channels() + head * self.width;
        [0, 1, 2].map(|part| &qkv[at + part * self.channels()..])
    }

    /// A view of the above: `rows` rows.
    fn thirds(self, rows: usize) -> Place {
        Place::rows(rows, self.width, 3 * self.channels())
    }

    /// All blocks of rows as (first, number).
    fn blocks(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.tokens).step_by(ROWS).map(move |from| (from, ROWS.min(self.tokens - from)))
    }

    /// Every image's head, each a task of its own, then what `f` made of it in its place: `parts` blocks of
    /// (tokens, width) per head go to (batch, tokens, parts, heads, width).
    fn each<T: Element, R: Send>(
        self,
        parts: usize,
        f: impl Fn(usize, usize) -> (Vec<T>, R) + Sync,
    ) -> (Vec<T>, Vec<R>) {
        let tasks = (0..self.batch * self.heads).into_par_iter();
        let (made, rest): (Vec<Vec<T>>, Vec<R>) = tasks.map(|at| f(at / self.heads, at % self.heads)).unzip();
        let mut out = vec![T::ZERO; self.batch * self.tokens * parts * self.channels()];
        out.par_chunks_mut(parts * self.channels()).with_min_len(16).enumerate().for_each(|(at, row)| {
            let (image, token) = (at / self.tokens, at % self.tokens);
            for (place, out) in row.chunks_exact_mut(self.width).enumerate() {
                let (part, head) = (place / self.heads, place % self.heads);
                let from = (part * self.tokens + token) * self.width;
                out.copy_from_slice(&made[image * self.heads + head][from..][..self.width]);
            }
        });
        (out, rest)
    }

    /// `softmax(Q K^T / sqrt(width)) V` per head, and what the backward pass needs to make the soft-max again.
    pub(crate) fn attend<T: Element>(self, qkv: &[T]) -> (Vec<T>, Rows<T>) {
        let Self { tokens, width, .. } = self;
        let (out, rows) = self.each(1, |image, head| {
            let [q, k, v] = self.views(qkv, image, head);
            let (mut out, mut rows) = (vec![T::ZERO; tokens * width], Vec::with_capacity(tokens));
            let mut weights = vec![T::ZERO; ROWS.min(tokens) * tokens];
            for (from, n) in self.blocks() {
                let (weights, w) = (&mut weights[..n * tokens], Place::rows(n, tokens, tokens));
                let q = &q[from * 3 * self.channels()..];
                product((weights, w), (q, self.thirds(n)), (k, self.thirds(tokens).transposed()), false);
                softmax_block(weights, tokens, self.scale(), &mut rows);
                let out = &mut out[from * width..][..n * width];
                product((out, Place::rows(n, width, width)), (weights, w), (v, self.thirds(tokens)), false);
            }
            (out, rows)
        });
        (out, rows.concat())
    }

    /// The gradient of [`Self::attend`] to queries, keys and values, laid out as they are.
    pub(crate) fn attend_vjp<T: Element>(self, qkv: &[T], out: &[T], rows: &[[T; 2]], grad: &[T]) -> Vec<T> {
        let Self { tokens, width, .. } = self;
        let channels = self.channels();
        let made = self.each(3, |image, head| {
            let [q, k, v] = self.views(qkv, image, head);
            let mut all = vec![T::ZERO; 3 * tokens * width];
            let (dq, rest) = all.split_at_mut(tokens * width);
            let (dk, dv) = rest.split_at_mut(tokens * width);
            let of_head = |t: usize| (image * tokens + t) * channels + head * width;
            let whole = Place::rows(tokens, width, width);
            let mut buffers = [(); 2].map(|()| vec![T::ZERO; ROWS.min(tokens) * tokens]);
            for (from, n) in self.blocks() {
                let [weights, slopes] = &mut buffers;
                let (weights, slopes) = (&mut weights[..n * tokens], &mut slopes[..n * tokens]);
                let square = Place::rows(n, tokens, tokens);
                let q = &q[from * 3 * channels..];
                let g = (&grad[of_head(from)..], Place::rows(n, width, channels));
                product((&mut *weights, square), (q, self.thirds(n)), (k, self.thirds(tokens).transposed()), false);
                product((&mut *slopes, square), g, (v, self.thirds(tokens).transposed()), false);
                let rows = &rows[(image * self.heads + head) * tokens + from..][..n];
                softmax_block_again(weights, tokens, self.scale(), rows);
                product((&mut *dv, whole), (weights, square.transposed()), g, true);
                let lines = slopes.chunks_exact_mut(tokens).zip(weights.chunks_exact(tokens));
                for (at, (slopes, weights)) in lines.enumerate() {
                    let here = of_head(from + at);
                    slope(&grad[here..here + width], &out[here..here + width], self.scale(), weights, slopes);
                }
                let dq = &mut dq[from * width..][..n * width];
                product((dq, Place::rows(n, width, width)), (slopes, square), (k, self.thirds(tokens)), false);
                product((&mut *dk, whole), (slopes, square.transposed()), (q, self.thirds(n)), true);
            }
            (all, ())
        });
        made.0
    }
}

vectorised! {
    fn softmax_block<T: Element>(weights: &mut [T], tokens: usize, scale: T, rows: &mut Rows<T>) {
        rows.extend(weights.chunks_exact_mut(tokens).map(|row| softmax_row(row, scale)));
    }

    fn softmax_block_again<T: Element>(weights: &mut [T], tokens: usize, scale: T, rows: &[[T; 2]]) {
        for (weights, &row) in weights.chunks_exact_mut(tokens).zip(rows) {
            softmax_row_again(weights, scale, row);
        }
    }

    /// From the gradient of a row of weights to that of its logits.
    fn slope<T: Element>(grad: &[T], out: &[T], scale: T, weights: &[T], slopes: &mut [T]) {
        let mean = T::from_f64(sum(grad, out, |g, o| g * o));
        for (s, &w) in slopes.iter_mut().zip(weights) {
            *s = w * (*s - mean) * scale;
        }
    }
}

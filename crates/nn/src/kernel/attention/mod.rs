//! Attention among the tokens of an image, head by head; never more than a block of rows of the soft-max is kept.

mod factors;

use super::row::{sum, weigh, weigh_again};
use super::{Element, Shared, Unwritten};
use factors::{Left, Place, Plan, Right, Rows as Factor, along, down, multiply};
use npair_simd::{Aligned, vectorised};
use rayon::prelude::*;

/// Rows of the soft-max that are made at a time, at most: an even number, for pairs of rows.
const ROWS: usize = 128;

/// Values in a cache line: rows of the soft-max begin at one.
const LINE: usize = 16;

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

    /// Values from one token's queries, keys and values to the next one's.
    fn pitch(self) -> usize {
        3 * self.channels()
    }

    /// Where an image's head begins in values with `parts` channels in a row each: (batch, tokens, parts, heads, width).
    fn start(self, image: usize, head: usize, parts: usize) -> usize {
        image * self.tokens * parts * self.channels() + head * self.width
    }

    /// Rows of an image's head, of `part` of `parts`.
    fn factor<T>(self, values: &[T], (image, head): (usize, usize), part: usize, parts: usize) -> Factor<'_, T> {
        let from = self.start(image, head, parts) + part * self.channels();
        Factor { values: &values[from..], count: self.tokens, width: self.width, step: parts * self.channels() }
    }

    /// Values from one row of the soft-max to the next.
    fn line(self) -> usize {
        self.tokens.next_multiple_of(LINE)
    }

    /// All blocks of rows as (first, number), each but the last of the same even number.
    fn blocks(self) -> impl Iterator<Item = (usize, usize)> {
        let count = self.tokens.div_ceil(ROWS).max(1);
        let each = self.tokens.div_ceil(count).next_multiple_of(2);
        (0..self.tokens).step_by(each).map(move |from| (from, each.min(self.tokens - from)))
    }

    /// `softmax(Q K^T / sqrt(width)) V` per head, and what the backward pass needs to make the soft-max again.
    pub(crate) fn attend<T: Element>(self, qkv: &[T]) -> (Vec<T>, Rows<T>) {
        assert_eq!(qkv.len(), self.batch * self.tokens * self.pitch());
        let plan = Plan::new(self.tokens, self.width);
        let mut out = Unwritten::new(self.batch * self.tokens * self.channels());
        let mut rows = vec![[T::ZERO; 2]; self.batch * self.heads * self.tokens];
        let to = out.shared();
        rows.par_chunks_mut(self.tokens.max(1)).enumerate().for_each_init(Room::new, |room, (at, rows)| {
            self.attend_head(&plan, qkv, (at / self.heads, at % self.heads), (to, rows), room);
        });
        // SAFETY: every head has written its channels of all tokens.
        (unsafe { out.written() }, rows)
    }

    /// The same of one head, into its channels of `out`.
    fn attend_head<T: Element>(
        self,
        plan: &Plan<T>,
        qkv: &[T],
        head: (usize, usize),
        (out, rows): (Shared<T>, &mut [[T; 2]]),
        room: &mut Room<T>,
    ) {
        let [q, k, v] = [0, 1, 2].map(|part| self.factor(qkv, head, part, 3));
        let Room { logits: keys, forward: values, weights, left, .. } = room;
        keys.pack_columns(k, &plan.by_token, plan.paired);
        values.pack_steps(v, &plan.by_channel, plan.paired);
        let to = self.place(out, head, 0, 1);
        for (from, n) in self.blocks() {
            let weights = weights.room(n * self.line());
            // SAFETY: a buffer of this task alone.
            unsafe {
                multiply(along(q.some(from, n), plan.paired, left), keys, &plan.by_token, self.square(weights), false);
            }
            let rows = &mut rows[from..from + n];
            weigh_block(self, weights, rows);
            let left = along(self.rows_of(weights, n), plan.paired, left);
            // SAFETY: these rows of the head's channels are this task's alone, and valid: `out` holds all tokens of all heads.
            unsafe {
                multiply(left, values, &plan.by_channel, to.row_on(from), false);
                for (at, row) in rows.iter().enumerate() {
                    let made = std::slice::from_raw_parts_mut(to.row_on(from + at).at, self.width);
                    made.iter_mut().for_each(|v| *v *= row[1]);
                }
            }
        }
    }

    /// Rows of the soft-max as a factor; what stands behind the last value is 0.
    fn rows_of<T>(self, weights: &[T], count: usize) -> Factor<'_, T> {
        Factor { values: weights, count, width: self.tokens, step: self.line() }
    }

    /// Rows of the soft-max as a place.
    fn square<T>(self, weights: &mut [T]) -> Place<T> {
        Place { at: weights.as_mut_ptr(), len: weights.len(), step: self.line() }
    }

    /// The place of a head's rows, of `part` of `parts`.
    fn place<T>(self, out: Shared<T>, (image, head): (usize, usize), part: usize, parts: usize) -> Place<T> {
        let from = self.start(image, head, parts) + part * self.channels();
        assert!(from < out.len(), "a head outside the values");
        Place { at: out.pointer().wrapping_add(from), len: out.len() - from, step: parts * self.channels() }
    }

    /// The gradient of [`Self::attend`] to queries, keys and values, laid out as they are.
    pub(crate) fn attend_vjp<T: Element>(self, qkv: &[T], out: &[T], rows: &[[T; 2]], grad: &[T]) -> Vec<T> {
        assert!(out.len() == grad.len() && 3 * out.len() == qkv.len() && rows.len() * self.width == out.len());
        let plan = Plan::new(self.tokens, self.width);
        let mut all = Unwritten::new(qkv.len());
        let to = all.shared();
        rows.par_chunks(self.tokens.max(1)).enumerate().for_each_init(Room::new, |room, (at, rows)| {
            let head = (at / self.heads, at % self.heads);
            let of = [self.factor(grad, head, 0, 1), self.factor(out, head, 0, 1)];
            self.head_vjp(&plan, [0, 1, 2].map(|part| self.factor(qkv, head, part, 3)), (of, rows), room, |part| {
                self.place(to, head, part, 3)
            });
        });
        // SAFETY: every head has written its queries, keys and values of all tokens.
        unsafe { all.written() }
    }

    /// The same of one head, to the places of its queries, keys and values, which are this task's alone.
    fn head_vjp<T: Element>(
        self,
        plan: &Plan<T>,
        [q, k, v]: [Factor<T>; 3],
        ([grad, out], rows): ([Factor<T>; 2], &[[T; 2]]),
        room: &mut Room<T>,
        place: impl Fn(usize) -> Place<T>,
    ) {
        let (Plan { by_token, by_channel, paired }, line) = (plan, self.line());
        let Room { logits: keys_turned, forward: keys, values, queries, grads, weights, slopes, left } = room;
        keys_turned.pack_columns(k, by_token, *paired);
        values.pack_columns(v, by_token, *paired);
        keys.pack_steps(k, by_channel, *paired);
        queries.pack_steps(q, by_channel, *paired);
        grads.pack_steps(grad, by_channel, *paired);
        let [dq, dk, dv] = [0, 1, 2].map(place);
        for (from, n) in self.blocks() {
            let (weights, slopes) = (weights.room(n * line), slopes.room(n * line));
            let again = from > 0;
            // SAFETY: buffers of this task alone, and places that the caller vouches for; what is added to, the first block wrote.
            unsafe {
                multiply(along(q.some(from, n), *paired, left), keys_turned, by_token, self.square(weights), false);
                multiply(along(grad.some(from, n), *paired, left), values, by_token, self.square(slopes), false);
                weigh_block_again(self, weights, &rows[from..from + n]);
                let turned: Left<T> = down(self.rows_of(weights, n), from, *paired, left);
                multiply(turned, grads, by_channel, dv, again);
                slope_block(self, weights, slopes, grad.some(from, n), out.some(from, n));
                let turned: Left<T> = down(self.rows_of(slopes, n), from, *paired, left);
                multiply(turned, queries, by_channel, dk, again);
                multiply(along(self.rows_of(slopes, n), *paired, left), keys, by_channel, dq.row_on(from), false);
            }
        }
    }
}

/// What a task works with: the right factors of one head, named after what they serve, and a block of rows. A row's end is filled
/// up with zeros to the next cache line: so it begins, and so everything that makes a row leaves it.
struct Room<T> {
    logits: Right<T>,
    forward: Right<T>,
    values: Right<T>,
    queries: Right<T>,
    grads: Right<T>,
    weights: Aligned<T>,
    slopes: Aligned<T>,
    left: Aligned<T>,
}

impl<T: Element> Room<T> {
    fn new() -> Self {
        Self {
            logits: Right::new(),
            forward: Right::new(),
            values: Right::new(),
            queries: Right::new(),
            grads: Right::new(),
            weights: Aligned::zeros(0),
            slopes: Aligned::zeros(0),
            left: Aligned::zeros(0),
        }
    }
}

vectorised! {
    /// Logits of every row to weights that are not yet divided by their sum; their maximum and inverse sum.
    fn weigh_block<T: Element>(heads: Heads, weights: &mut [T], rows: &mut [[T; 2]]) {
        for (weights, row) in weights.chunks_exact_mut(heads.line()).zip(rows) {
            *row = weigh(weights, heads.tokens, heads.scale());
        }
    }

    fn weigh_block_again<T: Element>(heads: Heads, weights: &mut [T], rows: &[[T; 2]]) {
        for (weights, &row) in weights.chunks_exact_mut(heads.line()).zip(rows) {
            weigh_again(weights, heads.tokens, heads.scale(), row);
        }
    }

    /// From the gradients of rows of weights to those of their logits: `p (s - mean) scale`, where the mean over the row of
    /// `p s` is the product of the result's row and its gradient.
    fn slope_block<T: Element>(heads: Heads, weights: &[T], slopes: &mut [T], grad: Factor<T>, out: Factor<T>) {
        let (line, scale) = (heads.line(), heads.scale::<T>());
        for (at, (slopes, weights)) in slopes.chunks_exact_mut(line).zip(weights.chunks_exact(line)).enumerate() {
            let mean = T::from_f64(sum(grad.row(at), out.row(at), |g, o| g * o));
            for (s, &w) in slopes.iter_mut().zip(weights) {
                *s = w * (*s - mean) * scale;
            }
            slopes[heads.tokens..].fill(T::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;

//! Factors in pairs of bf16, where [`NetPrecision`] says so and the machine multiplies them: values stay f32, and so do sums.

use super::windows::{View, Windows};
use crate::NetPrecision;
use crate::kernel::Element;
use npair_simd::{Columns, pair_neighbours, pair_rows};
use rayon::prelude::*;

/// Panels for pairs, of `columns` columns, if products are to be of pairs.
pub(crate) fn columns<T: Element>(columns: usize) -> Option<Columns<T>> {
    if NetPrecision::chosen() == NetPrecision::Bf16 { Columns::of_pairs(columns) } else { None }
}

/// Neighbouring channels of images as pairs.
pub(super) fn neighbours<T: Element>(x: &[T]) -> Vec<T> {
    const TASK: usize = 1 << 14;
    let mut pairs = vec![T::ZERO; x.len() / 2];
    pairs.par_chunks_mut(TASK).zip(x.par_chunks(2 * TASK)).for_each(|(to, from)| pair_neighbours(from, to));
    pairs
}

impl Windows {
    /// The same windows over pairs of channels.
    pub(super) fn of_pairs(&self) -> Self {
        let (first, count) = self.seen;
        Self { channels: self.channels / 2, seen: (first / 2, count / 2), ..self.clone() }
    }

    /// The same, if the channels are pairs.
    pub(super) fn over_pairs(&self) -> Option<Self> {
        let (first, count) = self.seen;
        let even = [self.channels, first, count].iter().all(|n| n.is_multiple_of(2));
        even.then(|| self.of_pairs())
    }
}

/// Some entries of two windows at a time from pair `from` on, (two windows, entry of `line`); of a window without a second one the
/// entries with nothing.
pub(super) fn gather<T: Element>(view: &View<T>, from: usize, offsets: &[usize], line: usize, to: &mut [T]) {
    let first = offsets[0];
    let consecutive = offsets[offsets.len() - 1] - first + 1 == offsets.len();
    for (two, to) in view.corners[2 * from..].chunks(2).zip(to.chunks_exact_mut(line)) {
        let to = &mut to[..offsets.len()];
        match *two {
            [low, high] if consecutive => {
                let [low, high] = [low, high].map(|corner| &view.source[corner + first..][..offsets.len()]);
                pair_rows(low, high, to);
            }
            [low, high] => {
                for (to, offset) in to.iter_mut().zip(offsets) {
                    *to = T::pair(view.source[low + offset], view.source[high + offset]);
                }
            }
            [last] => {
                for (to, offset) in to.iter_mut().zip(offsets) {
                    *to = T::pair(view.source[last + offset], T::ZERO);
                }
            }
            _ => {}
        }
    }
}

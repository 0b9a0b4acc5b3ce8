//! Tokens of images: (image, token, value).

use super::Element;
use rayon::prelude::*;

/// `head` and then the tokens of `x` plus `positions`, for every image.
pub(crate) fn prepend<T: Element>(x: &[T], head: &[T], positions: &[T]) -> Vec<T> {
    let (first, line) = (head.len(), head.len() + positions.len());
    let mut out = vec![T::ZERO; x.len() / positions.len() * line];
    out.par_chunks_exact_mut(line).zip(x.par_chunks_exact(positions.len())).for_each(|(out, x)| {
        out[..first].copy_from_slice(head);
        for ((o, &x), &p) in out[first..].iter_mut().zip(x).zip(positions) {
            *o = x + p;
        }
    });
    out
}

/// All but the first `first` of every `line` values.
pub(crate) fn without_first<T: Element>(x: &[T], first: usize, line: usize) -> Vec<T> {
    x.chunks_exact(line).flat_map(|x| &x[first..]).copied().collect()
}

/// The first `first` of every `line` values.
pub(crate) fn first<T: Element>(x: &[T], first: usize, line: usize) -> Vec<T> {
    x.chunks_exact(line).flat_map(|x| &x[..first]).copied().collect()
}

/// The gradient of [`first`]: 0 for what was left out.
pub(crate) fn first_vjp<T: Element>(grad: &[T], first: usize, line: usize) -> Vec<T> {
    let mut dx = vec![T::ZERO; grad.len() / first * line];
    dx.chunks_exact_mut(line).zip(grad.chunks_exact(first)).for_each(|(d, g)| d[..first].copy_from_slice(g));
    dx
}

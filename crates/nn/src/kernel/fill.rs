use super::Element;
use rayon::prelude::*;

/// A vector made in chunks of `size` values: `f(first, chunk)` writes every value of its chunk.
pub(crate) fn fill_by_chunks<T: Element>(len: usize, size: usize, f: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut out = vec![T::ZERO; len];
    out.par_chunks_mut(size.max(1)).enumerate().for_each(|(at, chunk)| f(at * size, chunk));
    out
}

/// Entry by entry `f(a, b)`.
pub(crate) fn zip<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    const GRAIN: usize = 1 << 14;
    fill_by_chunks(a.len(), GRAIN, |at, out| {
        let (a, b) = (&a[at..at + out.len()], &b[at..at + out.len()]);
        super::simd::run(|| {
            for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *o = f(a, b);
            }
        });
    })
}

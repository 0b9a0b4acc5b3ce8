use super::{Element, Unwritten, written};
use npair_simd::vectorised;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A vector made in chunks of `size` values: `f(first, chunk)` gets zeros.
pub(crate) fn fill_by_chunks<T: Element>(len: usize, size: usize, f: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    // SAFETY: all are written, by the task that goes on with them: so they are in its cache.
    unsafe {
        write_by_chunks(len, size, |at, chunk| {
            chunk.fill(MaybeUninit::new(T::ZERO));
            f(at, written(chunk));
        })
    }
}

/// The same, but the chunks hold nothing.
///
/// # Safety
/// `f` writes every value of its chunk.
pub(crate) unsafe fn write_by_chunks<T: Element>(
    len: usize,
    size: usize,
    f: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    let mut out = Unwritten::new(len);
    out.values_mut().par_chunks_mut(size.max(1)).enumerate().for_each(|(at, chunk)| f(at * size, chunk));
    // SAFETY: the chunks cover everything, and the caller vouches for each.
    unsafe { out.written() }
}

/// Entry by entry `f(a, b)`.
pub(crate) fn zip<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    const GRAIN: usize = 1 << 14;
    assert_eq!(a.len(), b.len());
    // SAFETY: all values are written, as many as there are of `a` and `b`.
    unsafe {
        write_by_chunks(a.len(), GRAIN, |at, out| {
            let (a, b) = (&a[at..at + out.len()], &b[at..at + out.len()]);
            zip_chunk(a, b, &f, out);
        })
    }
}

vectorised! {
    fn zip_chunk<T: Element, F: Fn(T, T) -> T>(a: &[T], b: &[T], f: &F, out: &mut [MaybeUninit<T>]) {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            o.write(f(a, b));
        }
    }
}

//! The Gaussian error linear unit.

use super::Normal;
use npair_simd::vectorised;
use rayon::prelude::*;

/// Values that one task works on.
const BLOCK: usize = 1 << 14;

/// `x Phi(x)` with the distribution function of the standard normal distribution.
pub(crate) fn gelu<T: Normal>(x: &[T]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
        apply(x, out);
    });
    out
}

/// Its gradient: `g (Phi(x) + x phi(x))`.
pub(crate) fn gelu_vjp<T: Normal>(x: &[T], grad: &[T]) -> Vec<T> {
    let mut dx = vec![T::ZERO; x.len()];
    dx.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).zip(grad.par_chunks(BLOCK)).for_each(|((dx, x), grad)| {
        apply_vjp(x, grad, dx);
    });
    dx
}

vectorised! {
    fn apply<T: Normal>(x: &[T], out: &mut [T]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = x * x.normal().0;
        }
    }

    fn apply_vjp<T: Normal>(x: &[T], grad: &[T], dx: &mut [T]) {
        for ((d, &x), &g) in dx.iter_mut().zip(x).zip(grad) {
            let (below, density) = x.normal();
            *d = g * (below + x * density);
        }
    }
}

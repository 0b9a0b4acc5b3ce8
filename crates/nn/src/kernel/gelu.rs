//! The Gaussian error linear unit.

use super::activation::{Curve, vjp_and_sum};
use super::{Element, zip};

/// `x Phi(x)` with the distribution function of the standard normal distribution.
#[derive(Clone, Copy)]
struct Gelu;

impl Curve for Gelu {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        y * y.normal().0
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        let (below, density) = y.normal();
        g * (below + y * density)
    }
}

/// `x Phi(x)` of every value.
pub(crate) fn gelu<T: Element>(x: &[T]) -> Vec<T> {
    zip(x, x, |x, _| Gelu.value(x))
}

/// Its gradient: `g (Phi(x) + x phi(x))`.
pub(crate) fn gelu_vjp<T: Element>(x: &[T], grad: &[T]) -> Vec<T> {
    zip(x, grad, |x, g| Gelu.vjp(x, g))
}

/// [`gelu_vjp`] of a matrix with `columns` columns, and the sums of its columns, in one pass over memory.
pub(crate) fn gelu_vjp_and_sum<T: Element>(x: &[T], grad: &[T], columns: usize) -> (Vec<T>, Vec<T>) {
    vjp_and_sum(x, grad, columns, |x, grad, out| super::activation::lead_back(Gelu, columns, x, grad, out))
}

//! The linear maps along a side: B^T, A^T, A, G, G^T.

use crate::Element;
use crate::vector::Vector;

/// The points besides 0 and infinity are `NEAR`, `-NEAR`, `FAR` and `-FAR`; their powers are short in binary.
const NEAR: f64 = 5. / 8.;
const FAR: f64 = 3. / 2.;
const NEAR2: f64 = NEAR * NEAR;
const FAR2: f64 = FAR * FAR;
/// Products of a point's distances to the others, for 0, for both near points and for both far ones.
const AT_ZERO: f64 = NEAR2 * FAR2;
const AT_NEAR: f64 = 2. * NEAR2 * (NEAR2 - FAR2);
const AT_FAR: f64 = 2. * FAR2 * (FAR2 - NEAR2);

/// A linear map of `S` values to `R`, of a register each.
pub(super) trait Linear<const S: usize, const R: usize> {
    /// # Safety
    /// The instructions of `V`.
    unsafe fn apply<V: Vector>(values: [V; S]) -> [V; R];
}

/// `B^T`: pixels.
pub(super) struct OfPixels;
/// `A^T`: sums of products to outputs.
pub(super) struct OfSums;
/// `A`: gradients of outputs.
pub(super) struct OfSlopes;
/// `G`: weights.
pub(super) struct OfWeights;
/// `G^T`: sums of products to gradients of weights.
pub(super) struct ToWeights;

/// All lanes `value`.
///
/// # Safety
/// The instructions of `V`.
#[inline(always)]
pub(super) unsafe fn all<V: Vector>(value: f64) -> V {
    // SAFETY: the caller's promise.
    unsafe { V::splat(V::Value::narrow(value)) }
}

/// `sum + factor value`.
///
/// # Safety
/// The instructions of `V`.
#[inline(always)]
unsafe fn plus<V: Vector>(sum: V, factor: f64, value: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { sum.add_product(all(factor), value) }
}

/// `factor value`.
///
/// # Safety
/// The instructions of `V`.
#[inline(always)]
unsafe fn times<V: Vector>(factor: f64, value: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { plus(all(0.), factor, value) }
}

impl Linear<6, 6> for OfPixels {
    #[inline(always)]
    unsafe fn apply<V: Vector>([d0, d1, d2, d3, d4, d5]: [V; 6]) -> [V; 6] {
        // SAFETY: the caller's promise.
        unsafe {
            let ends = |low, middle, high| plus(plus(high, -NEAR2 - FAR2, middle), AT_ZERO, low);
            // Of x (x^2 - other^2)(x +- point): even and odd powers.
            let pair = |point: f64, other2: f64| {
                let (even, odd) = (plus(d4, -other2, d2), plus(d3, -other2, d1));
                [plus(even, point, odd), plus(even, -point, odd)]
            };
            let ([near, minus_near], [far, minus_far]) = (pair(NEAR, FAR2), pair(FAR, NEAR2));
            [ends(d0, d2, d4), near, minus_near, far, minus_far, ends(d1, d3, d5)]
        }
    }
}

impl Linear<6, 4> for OfSums {
    #[inline(always)]
    unsafe fn apply<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 4] {
        // SAFETY: the caller's promise.
        unsafe {
            let (near, near_odd) = (m1.add(m2), plus(m1, -1., m2));
            let (far, far_odd) = (m3.add(m4), plus(m3, -1., m4));
            [
                m0.add(near).add(far),
                plus(times(NEAR, near_odd), FAR, far_odd),
                plus(times(NEAR2, near), FAR2, far),
                plus(plus(m5, NEAR * NEAR2, near_odd), FAR * FAR2, far_odd),
            ]
        }
    }
}

impl Linear<4, 6> for OfSlopes {
    #[inline(always)]
    unsafe fn apply<V: Vector>([y0, y1, y2, y3]: [V; 4]) -> [V; 6] {
        // SAFETY: the caller's promise.
        unsafe {
            let pair = |point: f64, point2: f64| {
                let (even, odd) = (plus(y0, point2, y2), plus(y1, point2, y3));
                [plus(even, point, odd), plus(even, -point, odd)]
            };
            let ([near, minus_near], [far, minus_far]) = (pair(NEAR, NEAR2), pair(FAR, FAR2));
            [y0, near, minus_near, far, minus_far, y3]
        }
    }
}

impl Linear<3, 6> for OfWeights {
    #[inline(always)]
    unsafe fn apply<V: Vector>([w0, w1, w2]: [V; 3]) -> [V; 6] {
        // SAFETY: the caller's promise.
        unsafe {
            let pair = |point: f64, point2: f64, distances: f64| {
                let even = plus(times(1. / distances, w0), point2 / distances, w2);
                [plus(even, point / distances, w1), plus(even, -point / distances, w1)]
            };
            let ([near, minus_near], [far, minus_far]) = (pair(NEAR, NEAR2, AT_NEAR), pair(FAR, FAR2, AT_FAR));
            [times(1. / AT_ZERO, w0), near, minus_near, far, minus_far, w2]
        }
    }
}

impl Linear<6, 3> for ToWeights {
    #[inline(always)]
    unsafe fn apply<V: Vector>([m0, m1, m2, m3, m4, m5]: [V; 6]) -> [V; 3] {
        // SAFETY: the caller's promise.
        unsafe {
            let (near, near_odd) = (m1.add(m2), plus(m1, -1., m2));
            let (far, far_odd) = (m3.add(m4), plus(m3, -1., m4));
            [
                plus(plus(times(1. / AT_ZERO, m0), 1. / AT_NEAR, near), 1. / AT_FAR, far),
                plus(times(NEAR / AT_NEAR, near_odd), FAR / AT_FAR, far_odd),
                plus(plus(m5, NEAR2 / AT_NEAR, near), FAR2 / AT_FAR, far),
            ]
        }
    }
}

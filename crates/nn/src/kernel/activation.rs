//! What follows a convolution or its norm, value by value.

use super::{Element, Unwritten, zip};
use npair_simd::vectorised;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// What follows a convolution or its norm.
///
/// All let NaN pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`: what networks for 8-bit arithmetic have (Krizhevsky, 2010).
    Relu6,
    /// `x min(max(x + 3, 0), 6) / 6` (Howard et al., ICCV 2019, section 5.2).
    HardSwish,
    /// `min(max(x + 3, 0), 6) / 6`, the factor of [`Self::HardSwish`].
    HardSigmoid,
    /// `x sigmoid(1.702 x)`, the coarser approximation of GELU (Hendrycks and Gimpel, 2016, section 2), which OpenAI's CLIP has.
    QuickGelu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, the finer one, which SigLIP has.
    TanhGelu,
}

impl Activation {
    /// Whether its slope at a value can be read off the result, so that the value itself need not be kept.
    pub(crate) fn shows_its_slope(self) -> bool {
        matches!(self, Self::None | Self::Relu | Self::Relu6)
    }
}

/// A function of one value and its slope.
pub(crate) trait Curve: Copy + Send + Sync {
    /// The function at `y`.
    fn value<T: Element>(self, y: T) -> T;
    /// The gradient `g` of the function's result, led back to `y`.
    fn vjp<T: Element>(self, y: T, g: T) -> T;
}

/// Runs `$body` with `$curve` bound to the curve of an activation: code of its own for each, without a choice inside
/// the loops.
macro_rules! by_curve {
    ($activation:expr, $curve:ident => $body:expr) => {{
        use $crate::kernel::activation::{
            Activation, HardSigmoid, HardSwish, Identity, QuickGelu, Relu, Relu6, TanhGelu,
        };
        match $activation {
            Activation::None => {
                let $curve = Identity;
                $body
            }
            Activation::Relu => {
                let $curve = Relu;
                $body
            }
            Activation::Relu6 => {
                let $curve = Relu6;
                $body
            }
            Activation::HardSwish => {
                let $curve = HardSwish;
                $body
            }
            Activation::HardSigmoid => {
                let $curve = HardSigmoid;
                $body
            }
            Activation::QuickGelu => {
                let $curve = QuickGelu;
                $body
            }
            Activation::TanhGelu => {
                let $curve = TanhGelu;
                $body
            }
        }
    }};
}
pub(crate) use by_curve;

#[derive(Clone, Copy)]
pub(crate) struct Identity;
#[derive(Clone, Copy)]
pub(crate) struct Relu;
#[derive(Clone, Copy)]
pub(crate) struct Relu6;
#[derive(Clone, Copy)]
pub(crate) struct HardSwish;
#[derive(Clone, Copy)]
pub(crate) struct HardSigmoid;
#[derive(Clone, Copy)]
pub(crate) struct QuickGelu;
#[derive(Clone, Copy)]
pub(crate) struct TanhGelu;

impl Curve for Identity {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        y
    }

    #[inline(always)]
    fn vjp<T: Element>(self, _: T, g: T) -> T {
        g
    }
}

// Comparisons are written so that NaN passes, as it does in PyTorch.
impl Curve for Relu {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        if y < T::ZERO { T::ZERO } else { y }
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        if y <= T::ZERO { T::ZERO } else { g }
    }
}

impl Curve for Relu6 {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        let (y, most) = (if y < T::ZERO { T::ZERO } else { y }, T::from_f64(6.));
        if y > most { most } else { y }
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        // Both are found for every value: no branch.
        if (y <= T::ZERO) | (y >= T::from_f64(6.)) { T::ZERO } else { g }
    }
}

impl Curve for HardSigmoid {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        Relu6.value(y + T::from_f64(3.)) / T::from_f64(6.)
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        Relu6.vjp(y + T::from_f64(3.), g / T::from_f64(6.))
    }
}

impl Curve for HardSwish {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        y * HardSigmoid.value(y)
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        let three = T::from_f64(3.);
        let inner = if y >= three { g } else { g * (y / three + T::from_f64(0.5)) };
        if y <= T::ZERO - three { T::ZERO } else { inner }
    }
}

/// `1 / (1 + e^-z)`, with a power that cannot overflow.
#[inline(always)]
fn sigmoid<T: Element>(z: T) -> T {
    let one = T::from_f64(1.);
    let small = if z > T::ZERO { T::ZERO - z } else { z }.exp_negative();
    (if z > T::ZERO { one } else { small }) / (one + small)
}

/// The gradient of `y sigmoid(z)`, of which `slope` is `dz/dy`.
#[inline(always)]
fn gated_vjp<T: Element>(y: T, z: T, slope: T, g: T) -> T {
    let open = sigmoid(z);
    g * (open + y * slope * open * (T::from_f64(1.) - open))
}

/// [`Activation::QuickGelu`]'s factor.
pub(crate) const QUICK: f64 = 1.702;
/// [`Activation::TanhGelu`]'s, twice: `1 + tanh(u) = 2 sigmoid(2 u)`; and that of the cube.
pub(crate) const TANH: f64 = 1.595_769_121_605_730_8;
pub(crate) const CUBE: f64 = 0.044_715;

impl Curve for QuickGelu {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        y * sigmoid(T::from_f64(QUICK) * y)
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        let factor = T::from_f64(QUICK);
        gated_vjp(y, factor * y, factor, g)
    }
}

impl TanhGelu {
    /// Twice what the hyperbolic tangent is taken of.
    #[inline(always)]
    fn inner<T: Element>(y: T) -> T {
        T::from_f64(TANH) * y * (T::from_f64(1.) + T::from_f64(CUBE) * y * y)
    }
}

impl Curve for TanhGelu {
    #[inline(always)]
    fn value<T: Element>(self, y: T) -> T {
        y * sigmoid(Self::inner(y))
    }

    #[inline(always)]
    fn vjp<T: Element>(self, y: T, g: T) -> T {
        let slope = T::from_f64(TANH) * (T::from_f64(1.) + T::from_f64(3. * CUBE) * y * y);
        gated_vjp(y, Self::inner(y), slope, g)
    }
}

/// The activation of every value.
pub(crate) fn apply<T: Element>(activation: Activation, x: &[T]) -> Vec<T> {
    by_curve!(activation, curve => zip(x, x, |x, _| curve.value(x)))
}

/// The gradient of [`apply`]; the results may stand for the values where the activation [shows its
/// slope](Activation::shows_its_slope).
pub(crate) fn apply_vjp<T: Element>(activation: Activation, x: &[T], grad: &[T]) -> Vec<T> {
    by_curve!(activation, curve => zip(x, grad, |x, g| curve.vjp(x, g)))
}

/// [`apply_vjp`] of a matrix with `columns` columns, and the sums of its columns, in one pass over memory.
pub(crate) fn apply_vjp_and_sum<T: Element>(
    activation: Activation,
    x: &[T],
    grad: &[T],
    columns: usize,
) -> (Vec<T>, Vec<T>) {
    vjp_and_sum(
        x,
        grad,
        columns,
        |x, grad, out| by_curve!(activation, curve => lead_back(curve, columns, x, grad, out)),
    )
}

/// The same with [`lead_back`] of a curve, which writes all of its last argument.
pub(super) fn vjp_and_sum<T: Element>(
    x: &[T],
    grad: &[T],
    columns: usize,
    lead_back: impl Fn(&[T], &[T], &mut [MaybeUninit<T>]) -> Vec<f64> + Sync,
) -> (Vec<T>, Vec<T>) {
    const VALUES: usize = 1 << 15;
    assert!(x.len() == grad.len() && x.len().is_multiple_of(columns));
    let size = columns * (VALUES / columns).max(ROWS);
    let mut out = Unwritten::new(x.len());
    let tasks = out.values_mut().par_chunks_mut(size).zip(x.par_chunks(size)).zip(grad.par_chunks(size));
    let parts: Vec<Vec<f64>> = tasks.map(|((out, x), grad)| lead_back(x, grad, out)).collect();
    let mut total = vec![0.; columns];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    }
    // SAFETY: the tasks cover everything, whole rows each (asserted above), and write all of a row.
    (unsafe { out.written() }, total.into_iter().map(T::from_f64).collect())
}

/// Rows that are summed in the number type before they are joined in f64.
const ROWS: usize = 64;

/// The activation of every value, in its place.
pub(crate) fn apply_in_place<T: Element>(activation: Activation, values: &mut [T]) {
    by_curve!(activation, curve => replace(curve, values));
}

vectorised! {
    /// The gradient led back through a curve, and the sums of its columns.
    pub(super) fn lead_back<T: Element, C: Curve>(
        curve: C,
        columns: usize,
        x: &[T],
        grad: &[T],
        out: &mut [MaybeUninit<T>],
    ) -> Vec<f64> {
        let size = columns * ROWS;
        let (mut total, mut sums) = (vec![0.; columns], vec![T::ZERO; columns]);
        for ((out, x), grad) in out.chunks_mut(size).zip(x.chunks(size)).zip(grad.chunks(size)) {
            sums.fill(T::ZERO);
            let rows = out.chunks_exact_mut(columns).zip(x.chunks_exact(columns)).zip(grad.chunks_exact(columns));
            for ((out, x), grad) in rows {
                for (((o, &x), &g), s) in out.iter_mut().zip(x).zip(grad).zip(&mut sums) {
                    let g = curve.vjp(x, g);
                    o.write(g);
                    *s += g;
                }
            }
            total.iter_mut().zip(&sums).for_each(|(t, s)| *t += s.to_f64());
        }
        total
    }

    fn replace<T: Element, C: Curve>(curve: C, values: &mut [T]) {
        for value in values {
            *value = curve.value(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 7] = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::QuickGelu,
        Activation::TanhGelu,
    ];

    #[test]
    fn worked_by_hand() {
        let x = [-4f64, -1., 0., 1., 5., 7.];
        let want = [
            x,
            [0., 0., 0., 1., 5., 7.],
            [0., 0., 0., 1., 5., 6.],
            [0., -1. / 3., 0., 2. / 3., 5., 7.],
            [0., 1. / 3., 0.5, 2. / 3., 1., 1.],
            x.map(|x| x / (1. + (-1.702 * x).exp())),
            x.map(|x| x * (1. + ((2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()) / 2.),
        ];
        for (activation, want) in ALL.into_iter().zip(want) {
            for (got, want) in apply(activation, &x).into_iter().zip(want) {
                assert!((got - want).abs() < 1e-15, "{activation:?}: {got} is not {want}");
            }
            let mut there = x;
            apply_in_place(activation, &mut there);
            assert_eq!(apply(activation, &x), there);
            assert!(apply(activation, &[f32::NAN])[0].is_nan());
        }
    }

    #[test]
    fn slopes_are_differences() {
        // Not at a corner.
        let x: Vec<f64> = (-40..40).map(|i| 0.2 * f64::from(i) + 0.05).collect();
        let moved = |by: f64| -> Vec<f64> { x.iter().map(|x| x + by).collect() };
        for activation in ALL {
            let (up, down) = (apply(activation, &moved(1e-6)), apply(activation, &moved(-1e-6)));
            let got = apply_vjp(activation, &x, &vec![3.; x.len()]);
            for (at, got) in got.into_iter().enumerate() {
                assert!((got - 3. * (up[at] - down[at]) / 2e-6).abs() < 1e-7, "{activation:?} at {}", x[at]);
            }
            let (same, sums) = apply_vjp_and_sum(activation, &x, &vec![3.; x.len()], 4);
            assert_eq!(same, apply_vjp(activation, &x, &vec![3.; x.len()]));
            for (column, sum) in sums.into_iter().enumerate() {
                let want: f64 = same.iter().skip(column).step_by(4).sum();
                assert!((sum - want).abs() < 1e-12, "{activation:?}: {sum} is not {want}");
            }
            if activation.shows_its_slope() {
                let out = apply(activation, &x);
                assert_eq!(apply_vjp(activation, &out, &x), apply_vjp(activation, &x, &x));
            }
        }
    }
}

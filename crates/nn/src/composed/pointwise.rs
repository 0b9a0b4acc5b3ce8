//! What is done to every value alone, or to every channel or image alike.

use super::{column_sums, matrix};
use crate::chip::{self, pointwise::Tail};
use crate::kernel::activation::{Activation, CUBE, QUICK, TANH};
use candle_core::{Result, Tensor};

/// `max(x, 0)`. candle's own loses NaN, which hides a network that has diverged.
fn relu(x: &Tensor) -> Result<Tensor> {
    let zero = x.zeros_like()?;
    x.lt(&zero)?.where_cond(&zero, x)
}

/// `min(max(x, 0), 6)`, which keeps NaN as well.
fn relu6(x: &Tensor) -> Result<Tensor> {
    let six = x.zeros_like()?.affine(1., 6.)?;
    let low = relu(x)?;
    low.gt(&six)?.where_cond(&six, &low)
}

/// `1 / (1 + e^-z)`.
fn sigmoid(z: &Tensor) -> Result<Tensor> {
    z.affine(-1., 0.)?.exp()?.affine(1., 1.)?.recip()
}

/// What a smooth activation, `x sigmoid(z)`, takes the sigmoid of, and its slope.
fn inner(activation: Activation, x: &Tensor) -> Result<(Tensor, Tensor)> {
    match activation {
        Activation::TanhGelu => {
            let square = x.sqr()?;
            let z = square.affine(TANH * CUBE, TANH)?.mul(x)?;
            Ok((z, square.affine(3. * TANH * CUBE, TANH)?))
        }
        _ => Ok((x.affine(QUICK, 0.)?, x.zeros_like()?.affine(1., QUICK)?)),
    }
}

/// The activation of every value.
pub(crate) fn activate(activation: Activation, x: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)?.filter(|_| activation != Activation::None) {
        return chip::pointwise::activate(&chip, chip::pointwise::kind(activation), x);
    }
    match activation {
        Activation::None => Ok(x.clone()),
        Activation::Relu => relu(x),
        Activation::Relu6 => relu6(x),
        Activation::HardSigmoid => relu6(&x.affine(1., 3.)?)?.affine(1. / 6., 0.),
        Activation::HardSwish => x.mul(&activate(Activation::HardSigmoid, x)?),
        Activation::QuickGelu | Activation::TanhGelu => x.mul(&sigmoid(&inner(activation, x)?.0)?),
    }
}

/// The gradient where `x` lies above `low` and, if there is one, below `high`.
fn between(x: &Tensor, low: f64, high: Option<f64>, grad: &Tensor) -> Result<Tensor> {
    let zero = x.zeros_like()?;
    let above = x.le(&zero.affine(1., low)?)?.where_cond(&zero, grad)?;
    match high {
        Some(high) => x.ge(&zero.affine(1., high)?)?.where_cond(&zero, &above),
        None => Ok(above),
    }
}

/// The gradient of [`activate`], from its input, or its result where that shows the slope.
pub(crate) fn activate_vjp(activation: Activation, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)?.filter(|_| activation != Activation::None) {
        return chip::pointwise::activate_vjp(&chip, chip::pointwise::kind(activation), x, grad);
    }
    let grad = grad.contiguous()?;
    match activation {
        Activation::None => Ok(grad),
        Activation::Relu => between(x, 0., None, &grad),
        Activation::Relu6 => between(x, 0., Some(6.), &grad),
        Activation::HardSigmoid => between(x, -3., Some(3.), &grad.affine(1. / 6., 0.)?),
        Activation::HardSwish => {
            let inside = between(x, -3., Some(3.), &x.affine(1. / 3., 0.5)?.mul(&grad)?)?;
            let above = x.ge(&x.zeros_like()?.affine(1., 3.)?)?;
            above.where_cond(&grad, &inside)
        }
        Activation::QuickGelu | Activation::TanhGelu => {
            let (z, slope) = inner(activation, x)?;
            let open = sigmoid(&z)?;
            let bent = x.mul(&slope)?.mul(&open)?.mul(&open.affine(-1., 1.)?)?;
            open.add(&bent)?.mul(&grad)
        }
    }
}

/// [`activate_vjp`], and the sums of what it gives over all axes but the last.
pub(crate) fn activate_vjp_and_sum(activation: Activation, x: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    if let Some(chip) = chip::of(x)? {
        return chip::pointwise::activate_vjp_and_sum(&chip, chip::pointwise::kind(activation), x, grad);
    }
    let grad = activate_vjp(activation, x, grad)?;
    let sum = column_sums(&matrix(&grad)?)?.squeeze(0)?;
    Ok((grad, sum))
}

/// The distribution function of the standard normal distribution.
fn normal(x: &Tensor) -> Result<Tensor> {
    x.affine(std::f64::consts::FRAC_1_SQRT_2, 0.)?.erf()?.affine(0.5, 0.5)
}

/// `x Phi(x)`. Far below 0 the function comes from a difference: absolute, not relative precision.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return chip::pointwise::activate(&chip, chip::pointwise::GELU, x);
    }
    x.mul(&normal(x)?)
}

/// `g (Phi(x) + x phi(x))`.
pub(crate) fn gelu_vjp(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return chip::pointwise::activate_vjp(&chip, chip::pointwise::GELU, x, grad);
    }
    const ROOT: f64 = 0.398_942_280_401_432_7;
    let density = x.sqr()?.affine(-0.5, 0.)?.exp()?.affine(ROOT, 0.)?;
    normal(x)?.add(&x.mul(&density)?)?.mul(grad)
}

/// Every row times `factors`, entry by entry.
pub(crate) fn scale(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return Tail { scale: Some(factors), ..Tail::default() }.of(&chip, x);
    }
    x.broadcast_mul(&factors.detach())
}

/// Every row plus `bias`, entry by entry.
pub(crate) fn shift(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    match chip::of(x)? {
        Some(chip) => Tail { bias: Some(bias), ..Tail::default() }.of(&chip, x),
        None => x.broadcast_add(&bias.detach()),
    }
}

/// Sum over the rows of the product of two tensors, entry by entry: (C).
pub(crate) fn column_products(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(a)? {
        return chip::pointwise::sum_products(&chip, a, b);
    }
    column_sums(&matrix(&a.mul(b)?)?)?.squeeze(0)
}

/// Every image times its own factor.
pub(crate) fn scale_images(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    shape[0] = factors.len();
    x.broadcast_mul(&crate::backend::upload(factors.to_vec(), shape, x.dtype(), x.device())?)
}

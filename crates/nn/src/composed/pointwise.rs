//! What is done to every value alone, or to every channel or image alike.

use super::{column_sums, matrix};
use candle_core::{Result, Tensor};

/// `max(x, 0)`. candle's own loses NaN, which hides a network that has diverged.
pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let zero = x.zeros_like()?;
    x.lt(&zero)?.where_cond(&zero, x)
}

/// The gradient where the result of a ReLU is above 0.
pub(crate) fn relu_vjp(out: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let zero = out.zeros_like()?;
    out.le(&zero)?.where_cond(&zero, &grad.contiguous()?)
}

/// The distribution function of the standard normal distribution.
fn normal(x: &Tensor) -> Result<Tensor> {
    x.affine(std::f64::consts::FRAC_1_SQRT_2, 0.)?.erf()?.affine(0.5, 0.5)
}

/// `x Phi(x)`. Far below 0 the function comes from a difference: absolute, not relative precision.
pub(crate) fn gelu(x: &Tensor) -> Result<Tensor> {
    x.mul(&normal(x)?)
}

/// `g (Phi(x) + x phi(x))`.
pub(crate) fn gelu_vjp(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    const ROOT: f64 = 0.398_942_280_401_432_7;
    let density = x.sqr()?.affine(-0.5, 0.)?.exp()?.affine(ROOT, 0.)?;
    normal(x)?.add(&x.mul(&density)?)?.mul(grad)
}

/// Every row times `factors`, entry by entry.
pub(crate) fn scale(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    x.broadcast_mul(&factors.detach())
}

/// Sum over the rows of the product of two tensors, entry by entry: (C).
pub(crate) fn column_products(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    column_sums(&matrix(&a.mul(b)?)?)?.squeeze(0)
}

/// Every image times its own factor.
pub(crate) fn scale_images(x: &Tensor, factors: &[f64]) -> Result<Tensor> {
    let mut shape = vec![1; x.rank()];
    shape[0] = factors.len();
    x.broadcast_mul(&crate::backend::upload(factors.to_vec(), shape, x.dtype(), x.device())?)
}

//! Soft-max and layer normalization of rows.

use super::{column_sums, matrix};
use crate::backend::LayerNormVjp;
use crate::chip;
use candle_core::{Result, Tensor};

/// Soft-max over the last axis.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    softmax_of(1., x)
}

/// The gradient of [`softmax`], from its result: `p (g - sum_j p_j g_j)`.
pub(crate) fn softmax_vjp(out: &Tensor, grad: &Tensor) -> Result<Tensor> {
    softmax_of_vjp(1., out, grad)
}

/// Soft-max of `factor` times the last axis.
pub(crate) fn softmax_of(factor: f64, x: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return chip::rows::softmax(&chip, x, factor);
    }
    let x = if factor == 1. { x.clone() } else { x.affine(factor, 0.)? };
    let last = x.rank() - 1;
    let e = x.broadcast_sub(&x.max_keepdim(last)?)?.exp()?;
    e.broadcast_div(&e.sum_keepdim(last)?)
}

/// The gradient of [`softmax_of`], from its result.
pub(crate) fn softmax_of_vjp(factor: f64, out: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(out)? {
        return chip::rows::softmax_vjp(&chip, out, grad, factor);
    }
    let mean = out.mul(grad)?.sum_keepdim(out.rank() - 1)?;
    let slopes = out.mul(&grad.broadcast_sub(&mean)?)?;
    if factor == 1. { Ok(slopes) } else { slopes.affine(factor, 0.) }
}

/// What the backward pass of a layer norm needs: normalized rows, the inverse deviation of each, and the scale.
struct Normalized {
    rows: Tensor,
    inverse: Tensor,
    gamma: Tensor,
}

/// `(x - mean) / sqrt(variance + epsilon) gamma + beta` of every row.
pub(crate) fn normalize(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, Box<dyn LayerNormVjp>)> {
    if let Some(chip) = chip::of(x)? {
        let (out, kept) = chip::rows::normalize(&chip, x, gamma, beta, epsilon)?;
        return Ok((out, Box::new(kept)));
    }
    let (last, share) = (x.rank() - 1, 1. / gamma.elem_count() as f64);
    let mean = |t: &Tensor| t.sum_keepdim(last)?.affine(share, 0.);
    // Relative to a first mean, so that nothing cancels.
    let centered = x.broadcast_sub(&mean(x)?)?;
    let rest = mean(&centered)?;
    let centered = centered.broadcast_sub(&rest)?;
    let inverse = mean(&centered.sqr()?)?.affine(1., epsilon)?.sqrt()?.recip()?;
    let rows = centered.broadcast_mul(&inverse)?;
    let out = rows.broadcast_mul(&gamma.detach())?.broadcast_add(&beta.detach())?;
    Ok((out, Box::new(Normalized { rows, inverse, gamma: gamma.clone() })))
}

impl LayerNormVjp for Normalized {
    fn input(&self, grad: &Tensor) -> Result<Tensor> {
        let gamma = &self.gamma;
        let (last, share) = (self.rows.rank() - 1, 1. / gamma.elem_count() as f64);
        let mean = |t: &Tensor| t.sum_keepdim(last)?.affine(share, 0.);
        let grad = grad.broadcast_mul(&gamma.detach())?;
        let along = self.rows.broadcast_mul(&mean(&grad.mul(&self.rows)?)?)?;
        grad.broadcast_sub(&mean(&grad)?)?.sub(&along)?.broadcast_mul(&self.inverse)
    }

    fn weight(&self, grad: &Tensor) -> Result<Tensor> {
        column_sums(&matrix(&grad.mul(&self.rows)?)?)?.squeeze(0)
    }
}

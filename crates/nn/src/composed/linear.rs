//! Linear layers: products with the rows of everything before the last axis.

use super::{column_sums, like, matrix, pointwise};
use crate::precision::product;
use candle_core::{Result, Tensor};

/// The extents of `x` with another last one.
fn with_width(x: &Tensor, width: usize) -> Vec<usize> {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = width;
    }
    dims
}

/// `x W^T + b`.
pub(crate) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let mut out = product(&matrix(x)?, &like(weight, x)?.t()?)?;
    if let Some(bias) = bias {
        out = pointwise::shift(&out, bias)?;
    }
    out.reshape(with_width(x, weight.dim(0)?))
}

/// `G^T x`.
pub(crate) fn weight_gradient(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    product(&matrix(grad)?.t()?, &matrix(x)?)
}

/// The sum of the rows.
pub(crate) fn bias_gradient(grad: &Tensor) -> Result<Tensor> {
    column_sums(&matrix(grad)?)?.squeeze(0)
}

/// `G W`.
pub(crate) fn input_gradient(weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
    product(&matrix(grad)?, &like(weight, grad)?)?.reshape(with_width(grad, weight.dim(1)?))
}

//! Linear layers: products with the rows of everything before the last axis.

use super::{column_sums, matrix};
use candle_core::{Result, Tensor};

/// `x W^T + b`.
pub(crate) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: &[usize]) -> Result<Tensor> {
    let mut out = matrix(x)?.matmul(&weight.detach().t()?)?;
    if let Some(bias) = bias {
        out = out.broadcast_add(&bias.detach())?;
    }
    out.reshape(shape)
}

/// `G^T x`.
pub(crate) fn weight_gradient(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    matrix(grad)?.t()?.matmul(&matrix(x)?)
}

/// The sum of the rows.
pub(crate) fn bias_gradient(grad: &Tensor) -> Result<Tensor> {
    column_sums(&matrix(grad)?)?.squeeze(0)
}

/// `G W`, in the shape of `like`.
pub(crate) fn input_gradient(weight: &Tensor, grad: &Tensor, like: &Tensor) -> Result<Tensor> {
    matrix(grad)?.matmul(&weight.detach())?.reshape(like.shape())
}

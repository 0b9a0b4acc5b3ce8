//! Tokens of images: (image, token, value).

use super::pool::along_both;
use super::{column_sums, table};
use crate::kernel::resample::Resample;
use candle_core::{Result, Tensor};

/// The bicubic weights of one axis, (to, from).
fn weights(from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
    let key = table::Key::new("bicubic", &[from, to]);
    table::weights(key, (to, from), like.dtype(), like.device(), || Resample::<f64>::new(from, to).into_weights())
}

/// An embedding (1, from^2, D) of a grid as one of `to` x `to`.
fn resample(x: &Tensor, from: usize, to: usize) -> Result<Tensor> {
    if from == to {
        return Ok(x.clone());
    }
    let (width, w) = (x.dim(2)?, weights(from, to, x)?);
    along_both(&x.reshape((1, from, from, width))?, &w, &w)?.reshape((1, to * to, width))
}

/// Its gradient.
fn resample_vjp(grad: &Tensor, from: usize, to: usize) -> Result<Tensor> {
    if from == to {
        return Ok(grad.clone());
    }
    let (width, w) = (grad.dim(2)?, weights(from, to, grad)?.t()?.contiguous()?);
    along_both(&grad.reshape((1, to, to, width))?, &w, &w)?.reshape((1, from * from, width))
}

/// Class token and then the tokens of `x`, each plus the embedding of its position; the embedding is that of a grid of
/// `stored` x `stored`, the image's grid is `grid`.
pub(crate) fn prepend(x: &Tensor, class: &Tensor, positions: &Tensor, stored: usize, grid: usize) -> Result<Tensor> {
    let ((batch, _, width), class, positions) = (x.dims3()?, class.detach(), positions.detach());
    let of_patches = resample(&positions.narrow(1, 1, stored * stored)?.contiguous()?, stored, grid)?;
    let head = class.add(&positions.narrow(1, 0, 1)?)?.broadcast_as((batch, 1, width))?.contiguous()?;
    Tensor::cat(&[head, x.broadcast_add(&of_patches)?], 1)
}

/// The gradient of all tokens summed over the images: (1, T, D).
pub(crate) fn sum_of_images(grad: &Tensor) -> Result<Tensor> {
    let (batch, tokens, width) = grad.dims3()?;
    column_sums(&grad.reshape((batch, tokens * width))?)?.reshape((1, tokens, width))
}

/// The gradient of the stored embedding from that of all tokens, summed.
pub(crate) fn positions_vjp(sum: &Tensor, stored: usize, grid: usize) -> Result<Tensor> {
    let of_patches = sum.narrow(1, 1, grid * grid)?.contiguous()?;
    Tensor::cat(&[sum.narrow(1, 0, 1)?, resample_vjp(&of_patches, stored, grid)?], 1)
}

/// The first token, (B, D).
pub(crate) fn first(x: &Tensor) -> Result<Tensor> {
    x.narrow(1, 0, 1)?.squeeze(1)?.force_contiguous()
}

/// Its gradient: 0 for all others.
pub(crate) fn first_vjp(grad: &Tensor, tokens: usize) -> Result<Tensor> {
    grad.unsqueeze(1)?.pad_with_zeros(1, 0, tokens - 1)
}

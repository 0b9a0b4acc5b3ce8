//! Tokens of images: (image, token, value).

use super::pool::along_both;
use super::{column_sums, like, table};
use crate::backend::Grids;
use crate::kernel::resample::axis;
use candle_core::{Result, Tensor};

/// The bicubic weights of one axis, (to, from).
fn weights(from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
    let key = table::Key::new("bicubic", &[from, to]);
    table::weights(key, (to, from), like.dtype(), like.device(), || axis::<f64>(from, to))
}

/// An embedding (1, S^2, D) of the stored grid as one of the image's.
fn resample(x: &Tensor, grids: Grids) -> Result<Tensor> {
    if grids.are_one() {
        return Ok(x.clone());
    }
    let (width, from, [rows, columns]) = (x.dim(2)?, grids.stored, grids.image);
    let (down, across) = (weights(from, rows, x)?, weights(from, columns, x)?);
    along_both(&x.reshape((1, from, from, width))?, &down, &across)?.reshape((1, grids.patches(), width))
}

/// Its gradient.
fn resample_vjp(grad: &Tensor, grids: Grids) -> Result<Tensor> {
    if grids.are_one() {
        return Ok(grad.clone());
    }
    let (width, from, [rows, columns]) = (grad.dim(2)?, grids.stored, grids.image);
    let transposed = |to| weights(from, to, grad)?.t()?.contiguous();
    let (down, across) = (transposed(rows)?, transposed(columns)?);
    along_both(&grad.reshape((1, rows, columns, width))?, &down, &across)?.reshape((1, from * from, width))
}

/// Class token and then the tokens of `x`, each plus the embedding of its position.
pub(crate) fn prepend(x: &Tensor, class: &Tensor, positions: &Tensor, grids: Grids) -> Result<Tensor> {
    let ((batch, _, width), positions) = (x.dims3()?, positions.detach());
    let of_patches = resample(&positions.narrow(1, 1, grids.stored * grids.stored)?.contiguous()?, grids)?;
    let (class, positions, of_patches) = (like(class, x)?, like(&positions, x)?, like(&of_patches, x)?);
    let head = class.add(&positions.narrow(1, 0, 1)?)?.broadcast_as((batch, 1, width))?.contiguous()?;
    Tensor::cat(&[head, x.broadcast_add(&of_patches)?], 1)
}

/// The gradient of all tokens summed over the images: (1, T, D).
pub(crate) fn sum_of_images(grad: &Tensor) -> Result<Tensor> {
    let (batch, tokens, width) = grad.dims3()?;
    column_sums(&grad.reshape((batch, tokens * width))?)?.reshape((1, tokens, width))
}

/// The gradient of the stored embedding from that of all tokens, summed.
pub(crate) fn positions_vjp(sum: &Tensor, grids: Grids) -> Result<Tensor> {
    let of_patches = sum.narrow(1, 1, grids.patches())?.contiguous()?;
    Tensor::cat(&[sum.narrow(1, 0, 1)?, resample_vjp(&of_patches, grids)?], 1)
}

/// The first token, (B, D).
pub(crate) fn first(x: &Tensor) -> Result<Tensor> {
    x.narrow(1, 0, 1)?.squeeze(1)?.force_contiguous()
}

/// Its gradient: 0 for all others.
pub(crate) fn first_vjp(grad: &Tensor, tokens: usize) -> Result<Tensor> {
    grad.unsqueeze(1)?.pad_with_zeros(1, 0, tokens - 1)
}

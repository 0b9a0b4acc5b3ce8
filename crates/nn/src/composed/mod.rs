//! The layers as compositions of candle's own tensor operations: what runs where there is no kernel of ours, on CUDA and
//! Metal, behind [`Composed`](crate::Composed). Values go in and come out as in `kernel`, gradients are written by hand,
//! and nothing is read back to the host.
//!
//! Parameters are detached first: a result that candle could differentiate would keep everything it was made of.
//!
//! Every function here runs on the CPU too, where the tests hold it against the kernels
//! (`docs/decisions/0012-layers-on-a-device.md`).

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod gate;
pub(crate) mod gem;
pub(crate) mod join;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod response;
pub(crate) mod rows;
mod table;
mod taps;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use crate::chip;
use candle_core::{Result, Tensor};

/// A parameter as products with values like `x` take it: what is multiplied with bf16 is bf16.
fn like(parameter: &Tensor, x: &Tensor) -> Result<Tensor> {
    parameter.detach().to_dtype(x.dtype())
}

/// All axes but the last as rows.
fn matrix(x: &Tensor) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(1);
    x.reshape((x.elem_count() / width.max(1), width))
}

/// Sums of the columns of a matrix, (1, C). A product with ones: candle reduces along the rows of memory only, and would
/// read every column for itself.
fn column_sums(x: &Tensor) -> Result<Tensor> {
    let (rows, columns) = x.dims2()?;
    if let Some(chip) = chip::of(x)? {
        return chip::pointwise::sum_rows(&chip, x)?.reshape((1, columns));
    }
    if rows == 0 {
        return Tensor::zeros((1, columns), x.dtype(), x.device());
    }
    Tensor::ones((1, rows), x.dtype(), x.device())?.matmul(&x.contiguous()?)
}

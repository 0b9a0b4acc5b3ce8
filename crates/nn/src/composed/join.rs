//! Channels side by side, and the order of axes.

use candle_core::{Result, Tensor};

/// Values side by side along the last axis.
pub(crate) fn concat(values: &[&Tensor]) -> Result<Tensor> {
    let last = values.first().map_or(0, |v| v.rank() - 1);
    Tensor::cat(values, last)?.contiguous()
}

/// Entries `from..from + width` of the last axis.
pub(crate) fn columns(x: &Tensor, from: usize, width: usize) -> Result<Tensor> {
    x.narrow(x.rank() - 1, from, width)?.contiguous()
}

/// The transpose of every one of the matrices (rows, columns) that stand one after the other, in the given shape.
pub(crate) fn transpose(x: &Tensor, (rows, columns): (usize, usize), shape: &[usize]) -> Result<Tensor> {
    let many = x.elem_count() / (rows * columns).max(1);
    x.reshape((many, rows, columns))?.transpose(1, 2)?.reshape(shape)
}

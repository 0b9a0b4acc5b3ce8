//! Channels side by side, and the order of axes.

use crate::chip;
use candle_core::{Result, Tensor};

/// Values side by side along the last axis.
pub(crate) fn concat(values: &[&Tensor]) -> Result<Tensor> {
    if let Some(chip) = values.first().map(|first| chip::of(first)).transpose()?.flatten() {
        return chip::places::concat(&chip, values);
    }
    let last = values.first().map_or(0, |v| v.rank() - 1);
    Tensor::cat(values, last)?.contiguous()
}

/// Entries `from..from + width` of the last axis.
pub(crate) fn columns(x: &Tensor, from: usize, width: usize) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)?.filter(|_| width > 0) {
        return chip::places::columns(&chip, x, from, width);
    }
    x.narrow(x.rank() - 1, from, width)?.contiguous()
}

/// The transpose of every one of the matrices (rows, columns) that stand one after the other, in the given shape.
pub(crate) fn transpose(x: &Tensor, (rows, columns): (usize, usize), shape: &[usize]) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return chip::places::transposed(&chip, x, (rows, columns), shape);
    }
    let many = x.elem_count() / (rows * columns).max(1);
    x.reshape((many, rows, columns))?.transpose(1, 2)?.reshape(shape)
}

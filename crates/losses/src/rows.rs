use crate::{Error, Result};
use candle_core::Tensor;

/// (rows, D) of a matrix with at least one row and column.
pub(crate) fn expect_matrix(what: &'static str, t: &Tensor) -> Result<(usize, usize)> {
    match t.dims() {
        &[rows, width] if rows > 0 && width > 0 => Ok((rows, width)),
        got => Err(Error::Shape { what, got: got.to_vec(), want: "a matrix (rows, D) that is not empty".to_owned() }),
    }
}

/// An error unless `t` has the shape of `model`.
pub(crate) fn expect_like(what: &'static str, t: &Tensor, of: &str, model: &Tensor) -> Result<()> {
    if t.dims() != model.dims() {
        let want = format!("{:?} as of the {of}", model.dims());
        return Err(Error::Shape { what, got: t.dims().to_vec(), want });
    }
    Ok(())
}

/// Rows of a batch, differentiably.
pub(crate) fn pick(embeddings: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let (batch, _) = expect_matrix("embeddings", embeddings)?;
    if let Some((at, &index)) = rows.iter().enumerate().find(|&(_, &i)| i >= batch) {
        return Err(npair_types::Error::OutOfBatch { what: "row", at, index, batch }.into());
    }
    // At most 2^32 rows fit: an index below `batch` of a tensor in memory with D >= 1.
    let ids: Vec<u32> = rows.iter().map(|&i| i as u32).collect();
    let ids = Tensor::from_vec(ids, rows.len(), embeddings.device())?;
    Ok(embeddings.index_select(&ids, 0)?)
}

/// Inner products of rows (T).
pub(crate) fn dots(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.sum(candle_core::D::Minus1)?)
}

/// Squared distances of rows (T), from differences: no cancellation.
pub(crate) fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a - b)?.sqr()?.sum(candle_core::D::Minus1)?)
}

/// Rows scaled to length 1, at any length that the number type holds; a zero row stays zero and passes its gradient on
/// unscaled, where the true one would be infinite.
pub(crate) fn unit_rows(rows: &Tensor) -> Result<Tensor> {
    // The result does not depend on a row's scale, so the scale may be a constant: squares then neither overflow nor
    // vanish.
    let largest = rows.detach().abs()?.max_keepdim(candle_core::D::Minus1)?;
    let scale = largest.gt(0f64)?.where_cond(&largest, &largest.ones_like()?)?;
    let rows = rows.broadcast_div(&scale)?;
    let squares = rows.sqr()?.sum_keepdim(candle_core::D::Minus1)?;
    let safe = squares.gt(0f64)?.where_cond(&squares, &squares.ones_like()?)?;
    Ok(rows.broadcast_mul(&safe.powf(-0.5)?)?)
}

//! Rows of embeddings: what a loss takes, and what it does with them.

use crate::device::is_on_device;
use crate::{Error, Result};
use candle_core::{CpuStorage, D, DType, Storage, Tensor};

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

/// A matrix as every loss takes it: f32 or f64 (16 bits are widened to f32, their gradient comes back in their type), in rows
/// one after the other, and, on the CPU, finite.
pub(crate) fn accept(what: &'static str, t: &Tensor) -> Result<Tensor> {
    expect_matrix(what, t)?;
    accept_any(what, t)
}

/// The same for a tensor of any rank, whose rows are along its first dimension.
pub(crate) fn accept_any(what: &'static str, t: &Tensor) -> Result<Tensor> {
    let t = to_float(what, t)?;
    match first_bad_row(&t) {
        Some(row) => Err(npair_similarity::Error::NotFinite { side: what, row }.into()),
        None => Ok(t),
    }
}

/// The same without a look at the numbers, for what a similarity matrix checks by itself.
fn to_float(what: &'static str, t: &Tensor) -> Result<Tensor> {
    match t.dtype() {
        DType::F32 | DType::F64 => Ok(t.contiguous()?),
        DType::F16 | DType::BF16 => Ok(t.to_dtype(DType::F32)?.contiguous()?),
        got => Err(Error::DType { what, got }),
    }
}

/// The same for a side of the similarity matrix: on a device 16 bits stay, since its kernels multiply them as they are and sum in
/// f32.
pub(crate) fn to_side(what: &'static str, t: &Tensor) -> Result<Tensor> {
    match t.dtype() {
        DType::F16 | DType::BF16 if is_on_device(t) => Ok(t.contiguous()?),
        _ => to_float(what, t),
    }
}

/// The first row with a NaN or an infinity. On a device nobody looks: it would have to be waited for, and a loss that is not
/// finite is seen when it is read.
fn first_bad_row(t: &Tensor) -> Option<usize> {
    if is_on_device(t) {
        return None;
    }
    let (storage, layout) = t.storage_and_layout();
    let (start, end) = layout.contiguous_offsets()?;
    let bad = match &*storage {
        Storage::Cpu(CpuStorage::F32(v)) => first_bad(&v[start..end], |v| v.is_finite()),
        Storage::Cpu(CpuStorage::F64(v)) => first_bad(&v[start..end], |v| v.is_finite()),
        _ => None,
    };
    bad.map(|at| at / (t.elem_count() / t.dims()[0]))
}

/// The first value that is not fine. Chunks are looked at whole, which the compiler does by vectors.
fn first_bad<T: Copy>(values: &[T], fine: impl Fn(T) -> bool) -> Option<usize> {
    const CHUNK: usize = 256;
    let chunk = values.chunks(CHUNK).position(|chunk| !chunk.iter().fold(true, |all, &v| all & fine(v)))?;
    values[chunk * CHUNK..].iter().position(|&v| !fine(v)).map(|at| chunk * CHUNK + at)
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
    Ok(embeddings.contiguous()?.index_select(&ids, 0)?)
}

/// Inner products of rows (T).
pub(crate) fn dots(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.sum(D::Minus1)?)
}

/// Squared distances of rows (T), from differences: no cancellation.
pub(crate) fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a - b)?.sqr()?.sum(D::Minus1)?)
}

/// Roots of squared distances, without a slope between equal rows: the true one is infinite.
pub(crate) fn distances(squares: &Tensor) -> Result<Tensor> {
    let apart = squares.gt(0f64)?;
    let safe = apart.where_cond(squares, &squares.ones_like()?)?;
    Ok(apart.where_cond(&safe.sqrt()?, &squares.zeros_like()?)?)
}

/// Rows scaled to length 1, at any length that the number type holds.
///
/// # Shapes
/// Rows: (B, D); the same.
///
/// # Gradient
/// A zero row stays zero and passes its gradient on unscaled, where the true one would be infinite: the rule of every loss here
/// that normalizes, [`UnitRows`](npair_similarity::UnitRows) of plain numbers included.
///
/// # Errors
/// Those of candle.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// let rows = Tensor::new(&[[3f64, 4.], [0., 0.]], &Device::Cpu)?;
/// assert_eq!(npair_losses::unit_rows(&rows)?.to_vec2::<f64>()?[1], [0., 0.]);
/// # Ok::<(), npair_losses::Error>(())
/// ```
pub fn unit_rows(rows: &Tensor) -> Result<Tensor> {
    // The result does not depend on a row's scale, so the scale may be a constant: squares then neither overflow nor
    // vanish.
    let largest = rows.detach().abs()?.max_keepdim(D::Minus1)?;
    let scale = largest.gt(0f64)?.where_cond(&largest, &largest.ones_like()?)?;
    let rows = rows.broadcast_div(&scale)?;
    let squares = rows.sqr()?.sum_keepdim(D::Minus1)?;
    let safe = squares.gt(0f64)?.where_cond(&squares, &squares.ones_like()?)?;
    Ok(rows.broadcast_mul(&safe.powf(-0.5)?)?)
}

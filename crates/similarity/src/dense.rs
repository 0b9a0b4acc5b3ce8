use crate::seen_from::center;
use crate::{Error, Mask, Result, Rows};
use candle_core::{D, DType, Tensor};
use npair_types::Measure;

/// Rows scaled to length 1, differentiably; a zero row stays zero (and passes its gradient on unscaled, where the true
/// one would be infinite).
pub(crate) fn normalised(rows: &Tensor) -> Result<Tensor> {
    let squares = rows.sqr()?.sum_keepdim(D::Minus1)?;
    let ones = squares.ones_like()?;
    let safe = squares.gt(0f64)?.where_cond(&squares, &ones)?;
    Ok(rows.broadcast_mul(&safe.powf(-0.5)?)?)
}

/// Rows of a side that a point amid them is found by.
const SAMPLE: usize = 256;

/// Both sides less a point amid them if they are far from the origin: their distances and slopes are the same, and keep their
/// digits. On a device nobody looks where they are.
fn near_origin(queries: &Tensor, gallery: &Tensor) -> Result<[Tensor; 2]> {
    let (sides, width) = ([queries, gallery], queries.dim(1)?);
    if !queries.device().is_cpu() {
        return Ok(sides.map(Clone::clone));
    }
    let sample = |side: &Tensor| -> Result<Vec<f64>> {
        let (n, count) = (side.dim(0)?, side.dim(0)?.min(SAMPLE));
        let rows: Vec<u32> = (0..count).map(|i| (i * n / count) as u32).collect();
        let rows = Tensor::from_vec(rows, count, side.device())?;
        let values = side.detach().contiguous()?.index_select(&rows, 0)?.to_dtype(DType::F64)?;
        Ok(values.flatten_all()?.to_vec1()?)
    };
    let (q, g) = (sample(queries)?, sample(gallery)?);
    let found = center(Rows::trusted(&q, width), Rows::trusted(&g, width), Measure::SquaredEuclidean);
    let Some(center) = found else { return Ok(sides.map(Clone::clone)) };
    let center = Tensor::from_vec(center, (1, width), queries.device())?.to_dtype(queries.dtype())?;
    Ok([queries.broadcast_sub(&center)?, gallery.broadcast_sub(&center)?])
}

/// The similarity matrix (Q, G), differentiable in both sides.
pub(crate) fn matrix(queries: &Tensor, gallery: &Tensor, measure: Measure) -> Result<Tensor> {
    let product = |q: &Tensor, g: &Tensor| q.matmul(&g.t()?);
    Ok(match measure {
        Measure::Dot => product(queries, gallery)?,
        Measure::Cosine => product(&normalised(queries)?, &normalised(gallery)?)?,
        Measure::SquaredEuclidean => {
            let [queries, gallery] = &near_origin(queries, gallery)?;
            let q = queries.sqr()?.sum_keepdim(1)?;
            let g = gallery.sqr()?.sum_keepdim(1)?.t()?;
            let squares = (product(queries, gallery)? * -2.)?.broadcast_add(&q)?.broadcast_add(&g)?;
            // Rounding may put equal rows a hair on the wrong side of 0.
            squares.relu()?.neg()?
        }
    })
}

/// Two sides whose inner products are the similarity of `queries` and `gallery`, so that a reduction only has to know
/// inner products: `-|q - g|^2 = [2q, -|q|^2, -1] . [g, 1, |g|^2]`.
pub(crate) fn as_products(queries: &Tensor, gallery: &Tensor, measure: Measure) -> Result<(Tensor, Tensor)> {
    Ok(match measure {
        Measure::Dot => (queries.clone(), gallery.clone()),
        Measure::Cosine => (normalised(queries)?, normalised(gallery)?),
        Measure::SquaredEuclidean => {
            let [queries, gallery] = &near_origin(queries, gallery)?;
            let (q, g) = (queries.sqr()?.sum_keepdim(1)?, gallery.sqr()?.sum_keepdim(1)?);
            let q = Tensor::cat(&[&(queries * 2.)?, &q.neg()?, &q.ones_like()?.neg()?], 1)?;
            let g = Tensor::cat(&[gallery, &g.ones_like()?, &g], 1)?;
            (q, g)
        }
    })
}

/// The mask as a matrix of 0 and 1, for devices without a streamed path.
pub(crate) fn mask_matrix(mask: &Mask, rows: usize, columns: usize, like: &Tensor) -> Result<Tensor> {
    let values: Vec<u8> = (0..rows).flat_map(|i| (0..columns).map(move |j| u8::from(mask.contains(i, j)))).collect();
    Ok(Tensor::from_vec(values, (rows, columns), like.device())?)
}

/// An error unless the tensor is a matrix of floats.
pub(crate) fn expect_matrix(what: &'static str, t: &Tensor) -> Result<(usize, usize)> {
    if !matches!(t.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        return Err(Error::DType { what, dtype: format!("{:?}", t.dtype()) });
    }
    t.dims2().map_err(|_| Error::Shape {
        what,
        got: format!("shape {:?}", t.dims()),
        want: "a matrix (rows, D)".to_owned(),
    })
}

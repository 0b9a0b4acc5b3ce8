use crate::Result;
use candle_core::Tensor;

/// Square of the least sine.
pub(crate) const LEAST: f64 = 1e-14;

/// `cos(theta + m)` of cosines c in f64, as `c cos m - sqrt(1 - c^2) sin m`: no arc cosine, whose slope is infinite at
/// +-1. The sine is held from 1e-7, below which theta has no direction to turn to.
pub(crate) fn plus_angle(cosines: &Tensor, m: f64) -> Result<Tensor> {
    let squares = (1. - cosines.sqr()?)?;
    let safe = squares.gt(LEAST)?.where_cond(&squares, &(squares.ones_like()? * LEAST)?)?;
    Ok(((cosines * m.cos())? - (safe.sqrt()? * m.sin())?)?)
}

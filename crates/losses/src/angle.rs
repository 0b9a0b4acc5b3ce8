use crate::Result;
use candle_core::Tensor;

/// Square of the least sine.
pub(crate) const LEAST: f64 = 1e-14;

/// `cos(theta + m)` of cosines c in f64, as `c cos m - sqrt(1 - c^2) sin m`: no arc cosine, whose slope is infinite at
/// +-1. The sine is held from 1e-7, below which theta has no direction to turn to.
pub(crate) fn plus_angle(cosines: &Tensor, m: f64) -> Result<Tensor> {
    Ok(((cosines * m.cos())? - (sines(cosines)? * m.sin())?)?)
}

/// The same with an angle for every cosine, by its cosine and sine.
pub(crate) fn plus_angles(cosines: &Tensor, (cos_m, sin_m): (&Tensor, &Tensor)) -> Result<Tensor> {
    Ok(((cosines * cos_m)? - (sines(cosines)? * sin_m)?)?)
}

/// `sqrt(1 - c^2)`, held from 1e-7.
fn sines(cosines: &Tensor) -> Result<Tensor> {
    let squares = (1. - cosines.sqr()?)?;
    let safe = squares.gt(LEAST)?.where_cond(&squares, &(squares.ones_like()? * LEAST)?)?;
    Ok(safe.sqrt()?)
}

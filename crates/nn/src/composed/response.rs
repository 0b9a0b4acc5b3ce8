//! Local response normalization: sums over neighbouring channels are a product with a band of ones.

use super::matrix;
use super::table::{Key, weights};
use crate::chip;
use crate::kernel::response::Response;
use candle_core::{Result, Tensor};

/// `(channels, channels)`: entry (j, c) is 1 if channel j counts for c.
fn band(norm: Response, like: &Tensor) -> Result<Tensor> {
    let channels = like.dim(like.rank() - 1)?;
    let key = Key::new("band", &[norm.size, channels]);
    weights(key, (channels, channels), like.dtype(), like.device(), || {
        let (before, after) = norm.reach();
        let near = |j: usize, c: usize| j + before >= c && j <= c + after;
        (0..channels * channels).map(|at| f64::from(near(at / channels, at % channels))).collect()
    })
}

/// `s = k + alpha / n sum x_j^2`, for every value.
fn sums(norm: Response, x: &Tensor, band: &Tensor) -> Result<Tensor> {
    x.sqr()?.matmul(band)?.affine(norm.alpha / norm.size as f64, norm.k)
}

pub(crate) fn forward(norm: Response, x: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return chip::response::forward(&chip, norm, x);
    }
    let rows = matrix(x)?;
    let s = sums(norm, &rows, &band(norm, x)?)?;
    rows.mul(&s.powf(-norm.beta)?)?.reshape(x.shape())
}

/// `dx_c = g_c s_c^-beta - 2 alpha beta / n x_c sum g_j x_j s_j^(-beta-1)` over the j whose sum c is in.
pub(crate) fn backward(norm: Response, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)? {
        return chip::response::backward(&chip, norm, x, grad);
    }
    let (rows, grad, band) = (matrix(x)?, matrix(grad)?, band(norm, x)?);
    let s = sums(norm, &rows, &band)?;
    let direct = grad.mul(&s.powf(-norm.beta)?)?;
    let pull = direct.mul(&rows)?.div(&s)?.matmul(&band.t()?)?;
    let factor = -2. * norm.alpha * norm.beta / norm.size as f64;
    direct.add(&rows.mul(&pull)?.affine(factor, 0.)?)?.reshape(x.shape())
}

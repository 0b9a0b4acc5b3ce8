//! Every channel of an image times a factor of its own.

use candle_core::{Result, Tensor};

/// Images (B, H, W, C) times factors (B, 1, 1, C).
pub(crate) fn forward(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    x.broadcast_mul(factors)
}

/// The gradient of the factors. The sum is a product with ones: candle reduces along the rows of memory only.
pub(crate) fn factors_gradient(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (batch, h, w, channels) = x.dims4()?;
    let products = x.mul(grad)?.reshape((batch, h * w, channels))?;
    let ones = Tensor::ones((batch, 1, h * w), x.dtype(), x.device())?;
    ones.matmul(&products)?.reshape((batch, 1, 1, channels))
}

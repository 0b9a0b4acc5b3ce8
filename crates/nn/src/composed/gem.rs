//! Generalized mean of the pixels of every channel. The exponent stays on the device: one that has become 0 or less gives
//! NaN instead of an error.

use crate::backend::GemVjp;
use candle_core::{Result, Tensor};

/// What the backward pass needs.
pub(crate) struct Means {
    /// (B, pixels, C), lifted to the least value, and where they were not.
    lifted: Tensor,
    kept: Tensor,
    /// Powers relative to the largest value, their sums (B, 1, C), and the exponent (1, 1, 1).
    powers: Tensor,
    sums: Tensor,
    power: Tensor,
    out: Tensor,
    /// Extents of the input.
    image: Vec<usize>,
}

/// `a^b` for a above 0.
fn pow(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.log()?.broadcast_mul(b)?.exp()
}

/// `mean(max(x, least)^p)^(1/p)` of images (B, H, W, C): (B, C).
pub(crate) fn forward(x: &Tensor, power: &Tensor, least: f64) -> Result<(Tensor, Means)> {
    let ((b, h, w, c), image) = (x.dims4()?, x.dims().to_vec());
    let x = x.reshape((b, h * w, c))?;
    // The logarithm has no value below 0, and none times 0 at 0.
    let power = power.detach();
    let power = power.add(&power.log()?.affine(0., 0.)?)?.reshape((1, 1, 1))?;
    let floor = x.ones_like()?.affine(least, 0.)?;
    let low = x.lt(&floor)?;
    let lifted = low.where_cond(&floor, &x)?;
    let kept = low.where_cond(&x.zeros_like()?, &x.ones_like()?)?;
    let max = lifted.max_keepdim(1)?;
    let powers = pow(&lifted.broadcast_div(&max)?, &power)?;
    let sums = powers.sum_keepdim(1)?;
    let means = sums.affine(1. / (h * w) as f64, 0.)?;
    let out = max.mul(&pow(&means, &power.recip()?)?)?;
    Ok((out.reshape((b, c))?, Means { lifted, kept, powers, sums, power, out, image }))
}

impl GemVjp for Means {
    /// `dx = g / n (x / y)^(p - 1)`, and 0 where x was lifted; (B, H, W, C).
    fn input(&self, grad: &Tensor) -> Result<Tensor> {
        let (dtype, grad) = (grad.dtype(), grad.to_dtype(self.out.dtype())?);
        let (b, pixels, c) = self.lifted.dims3()?;
        let ratio = self.lifted.broadcast_div(&self.out)?;
        let slope = pow(&ratio, &self.power.affine(1., -1.)?)?.affine(1. / pixels as f64, 0.)?;
        slope.broadcast_mul(&grad.reshape((b, 1, c))?)?.mul(&self.kept)?.reshape(&*self.image)?.to_dtype(dtype)
    }

    /// `dp = sum g y / p (sum(u ln v) / sum(u) - ln y)` with the powers u of the lifted values v: (1).
    fn power(&self, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.to_dtype(self.out.dtype())?;
        let (b, _, c) = self.lifted.dims3()?;
        let logs = self.powers.mul(&self.lifted.log()?)?.sum_keepdim(1)?.div(&self.sums)?;
        let slope = self.out.broadcast_div(&self.power)?.mul(&logs.sub(&self.out.log()?)?)?;
        slope.mul(&grad.reshape((b, 1, c))?)?.sum_all()?.reshape(1)
    }
}

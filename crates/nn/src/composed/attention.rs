//! Attention among the tokens of an image. The soft-max is kept for the backward pass.

use super::rows::{softmax_of, softmax_of_vjp};
use crate::chip;
use crate::kernel::attention::Heads;
use crate::precision::product;
use candle_core::{Result, Tensor};

/// What the backward pass needs: queries, keys and values (images x heads, tokens, width), and the soft-max.
pub(crate) struct Attended {
    heads: Heads,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weights: Tensor,
}

fn scale(heads: Heads) -> f64 {
    (heads.width as f64).sqrt().recip()
}

/// (B, T, 3 C) to (B, T, C).
pub(crate) fn attend(heads: Heads, qkv: &Tensor) -> Result<(Tensor, Attended)> {
    let Heads { batch, tokens, heads: h, width } = heads;
    if let Some(chip) = chip::of(qkv)? {
        let all = chip::places::split_heads(&chip, heads, 3, qkv)?;
        let part = |at: usize| all.narrow(0, at, 1)?.squeeze(0);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let weights = softmax_of(scale(heads), &product(&q, &k.t()?)?)?;
        let out = chip::places::join_heads(&chip, heads, &[&product(&weights, &v)?])?;
        return Ok((out, Attended { heads, q, k, v, weights }));
    }
    let all = qkv.reshape((batch, tokens, 3, h, width))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
    let all = all.reshape((3, batch * h, tokens, width))?;
    let part = |at: usize| all.narrow(0, at, 1)?.squeeze(0);
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let weights = softmax_of(scale(heads), &product(&q, &k.t()?)?)?;
    let out = product(&weights, &v)?.reshape((batch, h, tokens, width))?.permute((0, 2, 1, 3))?;
    Ok((out.reshape((batch, tokens, h * width))?, Attended { heads, q, k, v, weights }))
}

impl Attended {
    /// The gradient to queries, keys and values, laid out as they are.
    pub(crate) fn vjp(&self, grad: &Tensor) -> Result<Tensor> {
        let Heads { batch, tokens, heads: h, width } = self.heads;
        let chip = chip::of(grad)?;
        let grad = match &chip {
            Some(chip) => chip::places::split_heads(chip, self.heads, 1, grad)?,
            None => grad.reshape((batch, tokens, h, width))?.permute((0, 2, 1, 3))?.contiguous()?,
        };
        let grad = grad.reshape((batch * h, tokens, width))?;
        let slopes = softmax_of_vjp(scale(self.heads), &self.weights, &product(&grad, &self.v.t()?)?)?;
        let (dq, dk) = (product(&slopes, &self.k)?, product(&slopes.t()?, &self.q)?);
        let dv = product(&self.weights.t()?, &grad)?;
        if let Some(chip) = &chip {
            return chip::places::join_heads(chip, self.heads, &[&dq, &dk, &dv]);
        }
        let all = Tensor::stack(&[dq, dk, dv], 0)?.reshape((3, batch, h, tokens, width))?;
        all.permute((1, 3, 0, 2, 4))?.reshape((batch, tokens, 3 * h * width))
    }
}

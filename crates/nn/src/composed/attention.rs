//! Attention among the tokens of an image. The soft-max is kept for the backward pass.

use super::rows::{softmax, softmax_vjp};
use crate::kernel::attention::Heads;
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
    let all = qkv.reshape((batch, tokens, 3, h, width))?.permute((2, 0, 3, 1, 4))?.contiguous()?;
    let all = all.reshape((3, batch * h, tokens, width))?;
    let part = |at: usize| all.narrow(0, at, 1)?.squeeze(0);
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let weights = softmax(&q.matmul(&k.t()?)?.affine(scale(heads), 0.)?)?;
    let out = weights.matmul(&v)?.reshape((batch, h, tokens, width))?.permute((0, 2, 1, 3))?;
    Ok((out.reshape((batch, tokens, h * width))?, Attended { heads, q, k, v, weights }))
}

impl Attended {
    /// The gradient to queries, keys and values, laid out as they are.
    pub(crate) fn vjp(&self, grad: &Tensor) -> Result<Tensor> {
        let Heads { batch, tokens, heads: h, width } = self.heads;
        let grad = grad.reshape((batch, tokens, h, width))?.permute((0, 2, 1, 3))?.contiguous()?;
        let grad = grad.reshape((batch * h, tokens, width))?;
        let slopes = softmax_vjp(&self.weights, &grad.matmul(&self.v.t()?)?)?.affine(scale(self.heads), 0.)?;
        let (dq, dk) = (slopes.matmul(&self.k)?, slopes.t()?.matmul(&self.q)?);
        let dv = self.weights.t()?.matmul(&grad)?;
        let all = Tensor::stack(&[dq, dk, dv], 0)?.reshape((3, batch, h, tokens, width))?;
        all.permute((1, 3, 0, 2, 4))?.reshape((batch, tokens, 3 * h * width))
    }
}

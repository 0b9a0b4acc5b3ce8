use crate::device::is_on_device;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};

/// `log(1 + exp(z))` of every entry: never overflows, and keeps the digits of a small result.
pub(crate) fn softplus(z: &Tensor) -> Result<Tensor> {
    if !is_on_device(z) {
        return z.contiguous()?.apply_op1(Softplus);
    }
    let plain = z.detach();
    let small = plain.abs()?.neg()?.exp()?;
    let value = plain.relu()?.add(&log_1p(&small)?)?;
    // Nothing, whose slope is that of the value.
    value + ((z - &plain)? * logistic(&plain)?)?
}

/// `log(1 + x)` of x from 0 on, with the digits of a small x: what rounding 1 + x has lost is known (Kahan).
fn log_1p(x: &Tensor) -> Result<Tensor> {
    let sum = (x + 1.)?;
    let part = (&sum - 1.)?;
    let none = part.eq(&part.zeros_like()?)?;
    let safe = none.where_cond(&part.ones_like()?, &part)?;
    none.where_cond(x, &((x * sum.log()?)? / safe)?)
}

/// `1 / (1 + exp(-z))`. exp of a large -z is infinite and its reciprocal 0: the right limit.
fn logistic(z: &Tensor) -> Result<Tensor> {
    (z.neg()?.exp()? + 1.)?.recip()
}

/// `log sum exp` over the last dimension.
pub(crate) fn log_sum_exp(z: &Tensor) -> Result<Tensor> {
    let shift = z.max_keepdim(D::Minus1)?.detach();
    z.broadcast_sub(&shift)?.exp()?.sum(D::Minus1)?.log()? + shift.squeeze(D::Minus1)?
}

/// Cross-entropy terms (B) of logits (B, C) in which the one of the own class is `own` of itself:
/// `log(1 + sum over the others exp(z - own))`.
pub(crate) fn own_logit(
    logits: &Tensor,
    places: &[usize],
    own: impl FnOnce(&Tensor) -> crate::Result<Tensor>,
) -> crate::Result<Tensor> {
    let (b, c) = logits.dims2()?;
    let at = Tensor::from_vec(places.iter().map(|&p| p as u32).collect::<Vec<_>>(), (b, 1), logits.device())?;
    let own = own(&logits.gather(&at, 1)?.squeeze(1)?)?.unsqueeze(1)?;
    let is_own: Vec<u8> = places.iter().flat_map(|&p| (0..c).map(move |j| u8::from(j == p))).collect();
    let is_own = Tensor::from_vec(is_own, (b, c), logits.device())?;
    // The own entry is minus infinity in the sum and has no part in its gradient.
    let none = (logits.ones_like()? * f64::NEG_INFINITY)?;
    let above = is_own.where_cond(&none, &logits.broadcast_sub(&own)?)?;
    Ok(softplus(&log_sum_exp(&above)?)?)
}

/// candle has no `log1p`, and `log(1 + x)` of a small x has lost its digits.
struct Softplus;

impl CustomOp1 for Softplus {
    fn name(&self) -> &'static str {
        "npair-softplus"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let softplus = |x: f64| x.max(0.) + (-x.abs()).exp().ln_1p();
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("{}: not contiguous", self.name()) };
        let out = match storage {
            CpuStorage::F32(v) => {
                CpuStorage::F32(v[start..end].iter().map(|&x| softplus(f64::from(x)) as f32).collect())
            }
            CpuStorage::F64(v) => CpuStorage::F64(v[start..end].iter().map(|&x| softplus(x)).collect()),
            _ => bail!("{}: f32 or f64 is needed", self.name()),
        };
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, z: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((grad * logistic(z)?)?))
    }
}

//! Batch normalization of rows of channels; statistics stay on the device.

use super::{column_sums, matrix, pointwise};
use crate::backend::{BatchNorm, BatchNormCall, BatchNormGradients, BatchNormVjp, Folded};
use crate::chip;
use crate::kernel::activation::Activation;
use candle_core::{Result, Tensor};

/// What the backward pass needs, and the statistics of the batch.
struct Normalized {
    /// Rows less a first mean.
    centered: Tensor,
    /// What the first mean lacks, (1, C); none where the mean is a constant.
    rest: Option<Tensor>,
    /// `1 / sqrt(variance + epsilon)`, (1, C).
    inverse: Tensor,
    /// Of the batch: mean and variance (divided by n), (C).
    moments: Option<(Tensor, Tensor)>,
}

fn row(t: &Tensor) -> Result<Tensor> {
    t.reshape((1, t.elem_count()))
}

/// `(x - mean) / sqrt(variance + epsilon) gamma + beta` per channel, in the shape of `x`; with the given mean and variance,
/// or else those of the batch.
fn normalize(
    x: &Tensor,
    given: Option<(&Tensor, &Tensor)>,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, Normalized)> {
    let rows = matrix(x)?;
    let share = 1. / rows.dim(0)? as f64;
    let inverse = |variance: &Tensor| variance.affine(1., epsilon)?.sqrt()?.recip();
    let made = match given {
        Some((mean, variance)) => Normalized {
            centered: rows.broadcast_sub(&row(mean)?)?,
            rest: None,
            inverse: inverse(&row(variance)?)?,
            moments: None,
        },
        None => {
            // Relative to a first mean, so that nothing cancels.
            let first = column_sums(&rows)?.affine(share, 0.)?;
            let centered = rows.broadcast_sub(&first)?;
            let rest = column_sums(&centered)?.affine(share, 0.)?;
            let variance = column_sums(&centered.sqr()?)?.affine(share, 0.)?.sub(&rest.sqr()?)?;
            let variance = variance.maximum(&variance.zeros_like()?)?;
            let moments = Some((first.add(&rest)?.squeeze(0)?, variance.squeeze(0)?));
            Normalized { centered, inverse: inverse(&variance)?, rest: Some(rest), moments }
        }
    };
    let scale = made.inverse.mul(&row(gamma)?)?;
    let mut shift = row(beta)?;
    if let Some(rest) = &made.rest {
        shift = shift.sub(&rest.mul(&scale)?)?;
    }
    let out = made.centered.broadcast_mul(&scale)?.broadcast_add(&shift)?.reshape(x.shape())?;
    Ok((out, made))
}

/// Gradients of input, gamma and beta.
struct Gradient {
    gamma: Tensor,
    beta: Tensor,
    input: Option<Tensor>,
}

impl Normalized {
    /// The gradients from that behind the normalization; that of the input if it is `wanted`.
    fn vjp(&self, gamma: &Tensor, grad: &Tensor, wanted: bool) -> Result<Gradient> {
        let rows = matrix(grad)?;
        let share = 1. / rows.dim(0)? as f64;
        let beta = column_sums(&rows)?;
        let mut along = column_sums(&rows.mul(&self.centered)?)?;
        if let Some(rest) = &self.rest {
            along = along.sub(&rest.mul(&beta)?)?;
        }
        let of_gamma = along.mul(&self.inverse)?;
        let scale = self.inverse.mul(&row(gamma)?)?;
        let input = || -> Result<Tensor> {
            let direct = rows.broadcast_mul(&scale)?;
            // scale (g - mean g - (centered - rest) inverse^2 mean(g (centered - rest))); the means vanish for constants.
            let Some(rest) = &self.rest else { return direct.reshape(grad.shape()) };
            let slope = of_gamma.mul(&self.inverse)?.mul(&scale)?.affine(-share, 0.)?;
            let constant = scale.mul(&beta)?.affine(-share, 0.)?.sub(&rest.mul(&slope)?)?;
            let sum = direct.add(&self.centered.broadcast_mul(&slope)?)?;
            sum.broadcast_add(&constant)?.reshape(grad.shape())
        };
        let input = if wanted { Some(input()?) } else { None };
        Ok(Gradient { gamma: of_gamma.squeeze(0)?, beta: beta.squeeze(0)?, input })
    }
}

pub(crate) fn batch_norm(x: &Tensor, norm: &BatchNorm, call: BatchNormCall) -> Result<(Tensor, BatchNormVjp)> {
    let BatchNormCall { batch, shortcut, activation } = call;
    if let Some(batch) = &batch
        && let Some(chip) = chip::of(x)?
    {
        return chip::norm::batch_norm(&chip, x, norm, shortcut, activation, batch.momentum);
    }
    if x.dtype() != norm.weight.dtype() {
        return in_the_type_of(norm, x, BatchNormCall { batch, shortcut, activation });
    }
    let given = batch.is_none().then(|| (norm.mean.as_detached_tensor(), norm.variance.as_detached_tensor()));
    let given = given.as_ref().map(|(mean, variance)| (mean, variance));
    let (gamma, beta) = (norm.weight.detach(), norm.bias.detach());
    let (mut out, rows) = normalize(x, given, &gamma, &beta, norm.epsilon)?;
    if let Some(other) = shortcut {
        out = out.add(other)?;
    }
    let plain = out;
    let out = pointwise::activate(activation, &plain)?;
    let momentum = batch.and_then(|batch| batch.momentum);
    if let (Some((mean, variance)), Some(momentum)) = (&rows.moments, momentum) {
        let n = (x.elem_count() / gamma.elem_count()) as f64;
        for (var, new, factor) in [(norm.mean, mean, 1.), (norm.variance, variance, n / (n - 1.))] {
            let moved = var.as_detached_tensor().affine(1. - momentum, 0.)?.add(&new.affine(momentum * factor, 0.)?)?;
            var.set(&moved)?;
        }
    }
    let shown = if activation.shows_its_slope() { &out } else { &plain };
    let kept = (activation != Activation::None).then(|| shown.clone());
    let vjp = move |grad: Tensor, wants_input: bool| {
        let grad = match kept {
            Some(shown) => pointwise::activate_vjp(activation, &shown, &grad)?,
            None => grad,
        };
        let found = rows.vjp(&gamma, &grad, wants_input)?;
        Ok(BatchNormGradients { shortcut: grad, weight: found.gamma, bias: found.beta, input: found.input })
    };
    Ok((out, Box::new(vjp)))
}

/// [`batch_norm`] of values in bf16 with the running statistics: in f32, and back.
fn in_the_type_of(norm: &BatchNorm, x: &Tensor, call: BatchNormCall) -> Result<(Tensor, BatchNormVjp)> {
    let (dtype, wide) = (x.dtype(), norm.weight.dtype());
    let shortcut = call.shortcut.map(|other| other.to_dtype(wide)).transpose()?;
    let call = BatchNormCall { shortcut: shortcut.as_ref(), ..call };
    let (out, vjp) = batch_norm(&x.to_dtype(wide)?, norm, call)?;
    let narrowed = move |grad: Tensor, wants_input: bool| {
        let found = vjp(grad.to_dtype(wide)?, wants_input)?;
        let input = found.input.map(|input| input.to_dtype(dtype)).transpose()?;
        Ok(BatchNormGradients { shortcut: found.shortcut.to_dtype(dtype)?, input, ..found })
    };
    Ok((out.to_dtype(dtype)?, Box::new(narrowed)))
}

/// Scale and shift per channel that do what a norm does in evaluation behind a convolution with this bias.
pub(crate) fn fold(norm: &BatchNorm, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    if let Some(chip) = chip::of(norm.weight)? {
        return chip::norm::fold(&chip, norm, bias);
    }
    let deviation = norm.variance.affine(1., norm.epsilon)?.sqrt()?;
    let scale = norm.weight.div(&deviation)?;
    let center = match bias {
        Some(bias) => norm.mean.sub(bias)?,
        None => norm.mean.as_tensor().clone(),
    };
    let shift = norm.bias.sub(&center.mul(&scale)?)?;
    Ok((scale.detach(), shift.detach()))
}

/// Gradient of a norm's weight through [`fold`]; see the CPU's.
pub(crate) fn fold_vjp(norm: &BatchNorm, conv: Folded, weight: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let outputs = shift.elem_count();
    let inverse = norm.variance.as_detached_tensor().affine(1., norm.epsilon)?.sqrt()?.recip()?;
    let along = conv.weight.detach().mul(weight)?.reshape((outputs, weight.elem_count() / outputs))?.sum(1)?;
    let center = match conv.bias {
        Some(bias) => norm.mean.as_detached_tensor().sub(&bias.detach())?,
        None => norm.mean.as_detached_tensor(),
    };
    along.sub(&center.mul(shift)?)?.mul(&inverse)
}

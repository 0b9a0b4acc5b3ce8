//! Batch norm that follows its batch.

use super::pointwise::{Tail, kind};
use super::sums::{self, Summands};
use super::{Buffer, Chip, In, Kernel, Launch, THREADS, blocks, extents, params};
use crate::backend::{BatchNorm, BatchNormGradients, BatchNormVjp};
use crate::kernel::activation::Activation;
use candle_core::{Result, Tensor};

/// Statistics of a batch as kernels take them, (C) each.
struct Statistics {
    mean: Tensor,
    /// `1 / sqrt(variance + epsilon)`.
    inverse: Tensor,
    /// The same times the norm's factor.
    scale: Tensor,
}

/// `act(norm(x) + shortcut)` by the statistics of the batch, towards which the running ones move by `momentum`.
pub(crate) fn batch_norm(
    chip: &Chip,
    x: &Tensor,
    norm: &BatchNorm,
    shortcut: Option<&Tensor>,
    activation: Activation,
    momentum: Option<f64>,
) -> Result<(Tensor, BatchNormVjp)> {
    let x = x.contiguous()?;
    let found = statistics(chip, &x, norm, momentum)?;
    let shown = activation.shows_its_slope();
    let tail = Tail {
        center: Some(&found.mean),
        scale: Some(&found.scale),
        bias: Some(norm.bias),
        plus: shortcut,
        kind: if shown { kind(activation) } else { 0 },
    };
    let plain = tail.of(chip, &x)?;
    let out = if shown { plain.clone() } else { super::pointwise::activate(chip, kind(activation), &plain)? };
    let shown = (activation != Activation::None).then_some(plain);
    let kept = Kept { chip: chip.clone(), x, found, kind: kind(activation), shown };
    Ok((out, Box::new(move |grad: Tensor, wants_input: bool| kept.gradients(&grad.contiguous()?, wants_input))))
}

/// What the gradients of a batch norm need.
struct Kept {
    chip: Chip,
    x: Tensor,
    found: Statistics,
    /// Of the activation behind it, and what shows its slope.
    kind: u32,
    shown: Option<Tensor>,
}

fn statistics(chip: &Chip, x: &Tensor, norm: &BatchNorm, momentum: Option<f64>) -> Result<Statistics> {
    let (_, columns) = extents(x);
    let parts = sums::of_moments(chip, x)?;
    let mut made = [chip.room(columns)?, chip.room(columns)?, chip.room(columns)?];
    let mut moved = match momentum {
        Some(_) => Some([chip.room(columns)?, chip.room(columns)?]),
        None => None,
    };
    let mut params = parts.params;
    params.numbers[0] = momentum.unwrap_or_default() as f32;
    params.numbers[1] = norm.epsilon as f32;
    let own = [norm.weight.detach(), norm.mean.as_detached_tensor(), norm.variance.as_detached_tensor()];
    let more = [In::Tensor(x), In::Tensor(&own[0]), In::Tensor(&own[1]), In::Tensor(&own[2])];
    let mut outs: Vec<Option<&mut Buffer>> = made.iter_mut().map(Some).collect();
    match &mut moved {
        Some(moved) => outs.extend(moved.iter_mut().map(Some)),
        None => outs.extend([None, None]),
    }
    sums::whole(chip, Kernel::of("whole_moments", x.dtype()), &parts, &mut outs, &more, params)?;
    if let Some([mean, variance]) = moved {
        norm.mean.set(&chip.tensor(mean, columns)?)?;
        norm.variance.set(&chip.tensor(variance, columns)?)?;
    }
    let [mean, inverse, scale] = made;
    Ok(Statistics {
        mean: chip.tensor(mean, columns)?,
        inverse: chip.tensor(inverse, columns)?,
        scale: chip.tensor(scale, columns)?,
    })
}

impl Kept {
    fn gradients(&self, grad: &Tensor, wants_input: bool) -> Result<BatchNormGradients> {
        let Self { chip, x, found, kind, shown } = self;
        let (rows, columns) = extents(x);
        let mut kept = if shown.is_some() { Some(chip.room_of(grad.dtype(), grad.elem_count())?) } else { None };
        let of = Summands {
            kind: *kind,
            shown: shown.as_ref(),
            along: Some(x),
            center: Some(&found.mean),
            ..Summands::default()
        };
        let parts = sums::of_gradient(chip, grad, of, kept.as_mut())?;
        let grad = match kept {
            Some(kept) => chip.tensor(kept, grad.shape())?,
            None => grad.clone(),
        };
        let mut made = [chip.room(columns)?, chip.room(columns)?, chip.room(columns)?, chip.room(columns)?];
        let more = [In::Tensor(&found.scale), In::Tensor(&found.inverse)];
        let mut outs: Vec<Option<&mut Buffer>> = made.iter_mut().map(Some).collect();
        sums::whole(chip, Kernel::only("whole_slopes"), &parts, &mut outs, &more, parts.params)?;
        let [gamma, beta, slope, constant] = made;
        let input = if wants_input {
            let mut dx = chip.room_of(grad.dtype(), grad.elem_count())?;
            let tensors = [In::Tensor(&grad), In::Tensor(x), In::Tensor(&found.mean), In::Tensor(&found.scale)];
            let (kernel, wide) = Kernel::by_four("norm_input", grad.dtype(), columns, &tensors);
            let ins: Vec<In<'_>> = tensors.into_iter().chain([In::Buffer(&slope), In::Buffer(&constant)]).collect();
            let (blocks, params) = (blocks(rows * columns, wide), params(rows, columns));
            let outs = &mut [Some(&mut dx)];
            chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
            Some(chip.tensor(dx, grad.shape())?)
        } else {
            None
        };
        let (weight, bias) = (chip.tensor(gamma, columns)?, chip.tensor(beta, columns)?);
        Ok(BatchNormGradients { shortcut: grad, weight, bias, input })
    }
}

/// Scale and shift per channel that do what a norm does in evaluation behind a convolution with this bias.
pub(crate) fn fold(chip: &Chip, norm: &BatchNorm, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let columns = norm.weight.elem_count();
    let (mean, variance) = (norm.mean.as_detached_tensor(), norm.variance.as_detached_tensor());
    let (gamma, beta, bias) = (norm.weight.detach(), norm.bias.detach(), bias.map(Tensor::detach));
    let ins = [(&gamma).into(), (&beta).into(), (&mean).into(), (&variance).into(), In::from(bias.as_ref())];
    let mut params = params(columns, 1);
    params.numbers[0] = norm.epsilon as f32;
    let (mut scale, mut shift) = (chip.room(columns)?, chip.room(columns)?);
    let (kernel, blocks, outs) = (Kernel::only("fold"), blocks(columns, 1), &mut [Some(&mut scale), Some(&mut shift)]);
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
    Ok((chip.tensor(scale, columns)?, chip.tensor(shift, columns)?))
}

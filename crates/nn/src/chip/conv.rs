//! Convolutions by cuDNN, where there is one.

use super::{Buffer, Chip};
use crate::kernel::conv::Geometry;
use candle_core::{Result, Tensor};

#[cfg(feature = "cudnn")]
use super::{
    cudnn::{self, Work},
    places::transposed,
};

/// The maps, (B, H', W', O), of images and weights (O, C / groups, kh, kw); `None` where cuDNN is not there or does not take them.
pub(crate) fn forward(chip: &Chip, g: &Geometry, x: &Tensor, weight: &Tensor) -> Result<Option<Buffer>> {
    match *chip {
        #[cfg(feature = "cudnn")]
        Chip::Cuda(ref cuda) => {
            let (x, weight) = (x.contiguous()?, last(chip, g, weight)?.to_dtype(x.dtype())?);
            let out = cudnn::run(cuda, g, Work::Forward, &x, &weight)?;
            Ok(out.map(Buffer::Cuda))
        }
        #[allow(unreachable_patterns, reason = "in a build with cuDNN alone")]
        _ => none(g, x, weight),
    }
}

/// Gradient of the weights.
pub(crate) fn weight_gradient(chip: &Chip, g: &Geometry, x: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
    match *chip {
        #[cfg(feature = "cudnn")]
        Chip::Cuda(ref cuda) => {
            let (x, grad) = (x.contiguous()?, grad.contiguous()?);
            let Some(out) = cudnn::run(cuda, g, Work::Weight, &x, &grad)? else { return Ok(None) };
            let out = chip.tensor(Buffer::Cuda(out), (g.outputs, g.kernel.0, g.kernel.1, g.group_inputs()))?;
            let shape = (g.outputs, g.group_inputs(), g.kernel.0, g.kernel.1);
            match taps(g) {
                1 => Ok(Some(out.reshape(shape)?)),
                taps => Ok(Some(transposed(chip, &out, (taps, g.group_inputs()), shape)?)),
            }
        }
        #[allow(unreachable_patterns, reason = "in a build with cuDNN alone")]
        _ => none(g, x, grad),
    }
}

/// Gradient of the input.
pub(crate) fn input_gradient(chip: &Chip, g: &Geometry, weight: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
    match *chip {
        #[cfg(feature = "cudnn")]
        Chip::Cuda(ref cuda) => {
            let (weight, grad) = (last(chip, g, weight)?.to_dtype(grad.dtype())?, grad.contiguous()?);
            let Some(out) = cudnn::run(cuda, g, Work::Input, &weight, &grad)? else { return Ok(None) };
            Ok(Some(chip.tensor(Buffer::Cuda(out), (g.batch, g.image.0, g.image.1, g.inputs))?))
        }
        #[allow(unreachable_patterns, reason = "in a build with cuDNN alone")]
        _ => none(g, weight, grad),
    }
}

/// Weights with their channels last, as cuDNN takes them.
#[cfg(feature = "cudnn")]
fn last(chip: &Chip, g: &Geometry, weight: &Tensor) -> Result<Tensor> {
    match taps(g) {
        1 => weight.detach().contiguous(),
        taps => transposed(chip, &weight.detach(), (g.group_inputs(), taps), (g.outputs, g.patch())),
    }
}

#[cfg(feature = "cudnn")]
fn taps(g: &Geometry) -> usize {
    g.kernel.0 * g.kernel.1
}

fn none<T>(_: &Geometry, _: &Tensor, _: &Tensor) -> Result<Option<T>> {
    Ok(None)
}

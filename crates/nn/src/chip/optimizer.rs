//! Sums of squares and steps of optimizers on a device, a kernel for a variable.

use super::{In, Kernel, Launch, Params, THREADS, blocks, of, params};
use candle_core::{DType, Result, Tensor};

/// Blocks that share a variable's squares.
const SHARES: usize = 256;

/// The sum of the squares of all values, by one read; `None` where there are no kernels: on the CPU, on Metal, and for other number
/// types than f32.
///
/// # Errors
/// Those of the device.
pub fn squares(tensors: &[&Tensor]) -> Result<Option<f64>> {
    let Some(chip) = tensors.first().map(|first| of(first)).transpose()?.flatten() else { return Ok(None) };
    for tensor in tensors {
        if tensor.dtype() != DType::F32 || of(tensor)?.is_none() || !tensor.is_contiguous() {
            return Ok(None);
        }
    }
    let shares: Vec<usize> = tensors.iter().map(|t| t.elem_count().div_ceil(4 * THREADS).min(SHARES)).collect();
    let all = shares.iter().sum::<usize>();
    let mut out = chip.room(all)?;
    let mut before = 0;
    for (tensor, &share) in tensors.iter().zip(&shares) {
        let params = Params { before: before as u32, ..params(tensor.elem_count(), 1) };
        let (outs, ins) = (&mut [Some(&mut out)], &[In::Tensor(tensor)]);
        let (kernel, blocks, shared) = (Kernel::only("squares"), [share, 1], THREADS * 4);
        chip.launch(Launch { kernel, blocks, threads: THREADS, shared, places: &[], outs, ins, params })?;
        before += share;
    }
    let found = chip.tensor(out, all)?;
    Ok(Some(found.to_vec1::<f32>()?.into_iter().map(f64::from).sum()))
}

/// The numbers of a step of Adam.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// What the gradient is multiplied by.
    pub scale: f64,
    /// What decoupled weight decay leaves of a value.
    pub keep: f64,
    /// Learning rate.
    pub rate: f64,
    /// `1 - beta^t` of both moments.
    pub corrections: [f64; 2],
    /// Keeps the denominator above 0.
    pub epsilon: f64,
}

impl AdamStep {
    pub(super) fn params(&self, values: usize) -> Params {
        let ([b1, b2], [c1, c2]) = (self.betas, self.corrections);
        let numbers = [b1, 1. - b1, b2, 1. - b2, self.scale, self.keep, self.rate / c1, 1. / c2, self.epsilon];
        Params { numbers: numbers.map(|number| number as f32), ..params(values, 1) }
    }
}

/// A step of Adam (Kingma and Ba, ICLR 2015, algorithm 1) that changes value and moments in their place, in f32; false where there is
/// no kernel: on the CPU, on Metal, and for other number types.
///
/// # Errors
/// Those of the device.
pub fn adam_step(value: &Tensor, grad: &Tensor, moments: [&Tensor; 2], step: AdamStep) -> Result<bool> {
    let on_chip = if value.device().is_cpu() || value.dtype() != DType::F32 { None } else { of(value)? };
    let Some(chip) = on_chip else { return Ok(false) };
    let (count, grad) = (value.elem_count(), grad.contiguous()?);
    let places = &[value, moments[0], moments[1]];
    let (kernel, blocks, ins, params) =
        (Kernel::only("adam"), blocks(count, 1), &[In::Tensor(&grad)], step.params(count));
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places, outs: &mut [], ins, params })?;
    Ok(true)
}

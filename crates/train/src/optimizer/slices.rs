//! Tensors as slices that several threads work on, in parts of a fixed size.

use super::PART;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Storage, Tensor, Var};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// What is done to a part: its values, the gradient, and what is remembered of both.
pub(super) type Change<'c> = dyn Fn(&mut [f32], &[f32], &mut [&mut [f32]]) + Sync + 'c;

/// The sum of squares, in f64.
pub(super) fn square(tensor: &Tensor) -> Result<f64> {
    let of = |values: &[f32]| {
        let part = |values: &[f32]| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        // Collected first, so that the parts are summed in their order.
        values.par_chunks(PART).map(part).collect::<Vec<f64>>().into_iter().sum()
    };
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((from, to))) => Ok(of(&values[from..to])),
        _ => {
            drop(storage);
            Ok(of(&tensor.flatten_all()?.to_vec1::<f32>()?))
        }
    }
}

/// Changes a variable on the CPU part by part, in place where it can be.
pub(super) fn change(var: &Var, grad: &Tensor, memory: &mut [Vec<f32>], how: &Change) -> Result<()> {
    if var.device().is_cpu() && var.is_contiguous() && grad.is_contiguous() {
        return var.inplace_op2(grad, &InPlace { memory: Mutex::new(memory), how });
    }
    let (mut value, grad) = (var.as_tensor().flatten_all()?.to_vec1::<f32>()?, grad.flatten_all()?.to_vec1::<f32>()?);
    parts(&mut value, &grad, memory, how);
    var.set(&Tensor::from_vec(value, var.shape(), var.device())?)
}

fn parts(value: &mut [f32], grad: &[f32], memory: &mut [Vec<f32>], how: &Change) {
    let mut kinds: Vec<_> = memory.iter_mut().map(|kind| kind.chunks_mut(PART)).collect();
    let mut next = || kinds.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>();
    let parts: Vec<_> =
        value.chunks_mut(PART).zip(grad.chunks(PART)).map(|(value, grad)| (value, grad, next())).collect();
    parts.into_par_iter().for_each(|(value, grad, mut memory)| how(value, grad, &mut memory));
}

struct InPlace<'a, 'c> {
    /// candle hands the operation over by reference.
    memory: Mutex<&'a mut [Vec<f32>]>,
    how: &'a Change<'c>,
}

impl InplaceOp2 for InPlace<'_, '_> {
    fn name(&self) -> &'static str {
        "optimizer-step"
    }

    fn cpu_fwd(&self, value: &mut CpuStorage, at: &Layout, grad: &CpuStorage, grad_at: &Layout) -> Result<()> {
        let (CpuStorage::F32(value), CpuStorage::F32(grad)) = (value, grad) else {
            return Err(candle_core::Error::Msg("an optimizer moves f32 variables".to_owned()));
        };
        let (Some((from, to)), Some((grad_from, grad_to))) = (at.contiguous_offsets(), grad_at.contiguous_offsets())
        else {
            return Err(candle_core::Error::Msg("an optimizer moves contiguous variables".to_owned()));
        };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        parts(&mut value[from..to], &grad[grad_from..grad_to], &mut memory, self.how);
        Ok(())
    }
}

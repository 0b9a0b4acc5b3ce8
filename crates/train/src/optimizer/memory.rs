//! What a rule remembers of a variable, where the variable is.

use candle_core::{Device, Result, Tensor, Var};

pub(super) enum Memory {
    /// Slices that are changed in place.
    Host(Vec<Vec<f32>>),
    /// Tensors that are replaced.
    Device(Vec<Tensor>),
}

impl Memory {
    /// Zeros, of `kinds` kinds.
    pub(super) fn new(var: &Var, kinds: usize) -> Result<Self> {
        if var.device().is_cpu() {
            return Ok(Self::Host(vec![vec![0f32; var.elem_count()]; kinds]));
        }
        Self::on_device(var, kinds)
    }

    /// The same as tensors.
    pub(super) fn on_device(var: &Var, kinds: usize) -> Result<Self> {
        Ok(Self::Device((0..kinds).map(|_| var.zeros_like().map(|t| t.detach())).collect::<Result<_>>()?))
    }

    /// All kinds, as tensors on the CPU of the variable's shape.
    pub(super) fn tensors(&self, var: &Var) -> Result<Vec<Tensor>> {
        match self {
            Self::Host(memory) => memory.iter().map(|v| Tensor::from_slice(v, var.shape(), &Device::Cpu)).collect(),
            Self::Device(memory) => memory.iter().map(|t| t.to_device(&Device::Cpu)).collect(),
        }
    }

    /// Takes over a kind.
    pub(super) fn set(&mut self, kind: usize, saved: &Tensor, var: &Var) -> Result<()> {
        match self {
            Self::Host(memory) => memory[kind] = saved.flatten_all()?.to_vec1::<f32>()?,
            // A copy: steps change it in its place.
            Self::Device(memory) => memory[kind] = saved.to_device(var.device())?.copy()?,
        }
        Ok(())
    }
}

//! Tensors as slices. Only this backend sees values on the host: what runs on a device cannot read one by mistake.

use crate::kernel::Element;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor, bail};

/// The values of a contiguous tensor on the CPU.
pub(super) fn slice<'a, T: Element>(storage: &'a Storage, layout: &Layout) -> Result<&'a [T]> {
    let Storage::Cpu(storage) = storage else { bail!("npair-nn: a tensor is not on the CPU") };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&T::cpu_storage_as_slice(storage)?[from..to]),
        None => bail!("npair-nn: an operand is not contiguous"),
    }
}

/// Hands the values of a tensor on the CPU to `f`.
pub(super) fn with<T: Element, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    f(slice(&storage, layout)?)
}

/// The same for a tensor that may be missing.
pub(super) fn with_some<T: Element, R>(
    tensor: Option<&Tensor>,
    f: impl FnOnce(Option<&[T]>) -> Result<R>,
) -> Result<R> {
    match tensor {
        Some(tensor) => with(tensor, |values| f(Some(values))),
        None => f(None),
    }
}

/// All values, as f64.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// Values as a tensor of the shape of `like`.
pub(super) fn shaped<T: Element>(values: Vec<T>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

/// Values as a tensor of the given shape, on the CPU.
pub(super) fn tensor<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &candle_core::Device::Cpu)
}

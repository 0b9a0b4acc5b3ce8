use crate::kernel::Element;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor, bail};

/// The values of a contiguous tensor on the CPU.
pub(crate) fn slice<'a, T: Element>(storage: &'a Storage, layout: &Layout) -> Result<&'a [T]> {
    #[cfg(any(test, feature = "composed-tests"))]
    crate::composed::testing::read();
    let Storage::Cpu(storage) = storage else { bail!("npair-nn: a tensor is not on the CPU") };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&T::cpu_storage_as_slice(storage)?[from..to]),
        None => bail!("npair-nn: an operand is not contiguous"),
    }
}

/// Hands the values of a tensor on the CPU to `f`.
pub(crate) fn with<T: Element, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    f(slice(&storage, layout)?)
}

/// All values, as f64. From a device it waits for everything that is under way: not within a step.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    #[cfg(any(test, feature = "composed-tests"))]
    crate::composed::testing::read();
    tensor.to_device(&candle_core::Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// Values as a tensor of the shape of `like`.
pub(crate) fn shaped<T: Element>(values: Vec<T>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

/// Values as a tensor of the given shape, on the CPU.
pub(crate) fn tensor<T: Element>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &candle_core::Device::Cpu)
}

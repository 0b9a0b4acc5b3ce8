//! Tensors on a device: no look at their values on the host where it can be done without, and no f64 where there is none.

#[cfg(test)]
mod tests;

use crate::Result;
use candle_core::{DType, Device, Shape, Tensor};

#[cfg(test)]
thread_local! {
    /// Whether tensors on the CPU are treated as those of a device on this thread.
    static FORCED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether a loss takes candle's operations alone, since a look at the values would wait for a device.
pub(crate) fn is_on_device(t: &Tensor) -> bool {
    #[cfg(test)]
    if FORCED.get() {
        return true;
    }
    !t.device().is_cpu()
}

/// The tensor in f64, where its device has that.
pub(crate) fn to_f64(t: &Tensor) -> Result<Tensor> {
    if t.device().is_metal() {
        return Ok(t.clone());
    }
    Ok(t.to_dtype(DType::F64)?)
}

/// Numbers made on the host as a tensor of a device: they get their number type before they go there, since not every device
/// has f64.
///
/// # Errors
/// Those of candle.
pub fn upload(values: Vec<f64>, shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
}

//! Tables of indices and weights that follow from extents alone, made once and kept on the device.

use candle_core::{DType, Device, DeviceLocation, Result, Tensor};
use std::sync::{Mutex, PoisonError};

/// What a table is for, and the extents that it follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub what: &'static str,
    pub extents: [usize; 14],
}

impl Key {
    pub(super) fn new(what: &'static str, extents: &[usize]) -> Self {
        let mut all = [0; 14];
        all[..extents.len()].copy_from_slice(extents);
        Self { what, extents: all }
    }
}

/// What candle's `index_select` takes for nothing, on every device: the result is 0 there.
pub(super) const NOTHING: u32 = u32::MAX;

/// More tables than any network needs at once; when there are as many, all are made anew.
const MOST: usize = 512;

static TABLES: Mutex<Vec<(Key, DType, DeviceLocation, Tensor)>> = Mutex::new(Vec::new());

fn kept(key: Key, dtype: DType, device: &Device, make: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    let here = device.location();
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    // Another handle of one device would be another device to candle.
    let known = tables.iter().find(|t| t.0 == key && t.1 == dtype && t.2 == here && t.3.device().same_device(device));
    if let Some((.., table)) = known {
        return Ok(table.clone());
    }
    let table = make()?.to_device(device)?;
    if tables.len() >= MOST {
        tables.clear();
    }
    tables.push((key, dtype, here, table.clone()));
    Ok(table)
}

/// Indices, made by `make` if they are not there yet.
pub(super) fn indices(key: Key, device: &Device, make: impl FnOnce() -> Vec<u32>) -> Result<Tensor> {
    kept(key, DType::U32, device, || {
        let made = make();
        let count = made.len();
        Tensor::from_vec(made, count, &Device::Cpu)
    })
}

/// A matrix of weights, made by `make` if it is not there yet.
pub(super) fn weights(
    key: Key,
    (rows, columns): (usize, usize),
    dtype: DType,
    device: &Device,
    make: impl FnOnce() -> Vec<f64>,
) -> Result<Tensor> {
    kept(key, dtype, device, || Tensor::from_vec(make(), (rows, columns), &Device::Cpu)?.to_dtype(dtype))
}

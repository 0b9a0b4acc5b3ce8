//! NumPy's file format, version 1.0.

use candle_core::{Result, Tensor};

pub fn f32(tensor: &Tensor) -> Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(file("<f4", tensor.dims(), values.into_iter().flat_map(f32::to_le_bytes)))
}

pub fn f64(tensor: &Tensor) -> Result<Vec<u8>> {
    let values = tensor.flatten_all()?.to_vec1::<f64>()?;
    Ok(file("<f8", tensor.dims(), values.into_iter().flat_map(f64::to_le_bytes)))
}

fn file(kind: &str, dims: &[usize], values: impl Iterator<Item = u8>) -> Vec<u8> {
    let shape: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Ten bytes before the text, a line break behind it, all of it a multiple of 64.
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 11;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded as u16 + 1).to_le_bytes());
    bytes.extend(format!("{text:<padded$}\n").into_bytes());
    bytes.extend(values);
    bytes
}

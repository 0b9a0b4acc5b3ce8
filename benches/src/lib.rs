//! What the benches share: made-up embeddings and pictures, the same in every run.
#![forbid(unsafe_code)]

use candle_core::{DType, Device, Result, Tensor};
use npair_types::{Purpose, Streams};
use rand::Rng;

/// `len` numbers between -1 and 1.
pub fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Streams::new(seed).open(Purpose::Synthesis, [0, 0]);
    (0..len).map(|_| rng.random_range(-1f32..1.)).collect()
}

/// The same as a tensor.
///
/// # Errors
/// Those of candle.
pub fn tensor(seed: u64, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(numbers(seed, shape.iter().product()), shape, &Device::Cpu)?.to_dtype(DType::F32)
}

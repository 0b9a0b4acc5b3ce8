//! Seeded inputs.

use candle_core::{DType, Device, Result, Shape, Tensor};
use npair_types::{Purpose, Streams};
use rand::Rng;

/// Independent normal entries of the given standard deviation (sums of twelve uniform draws: no tails beyond 6).
///
/// # Errors
/// Those of candle's tensor construction.
pub fn normal(seed: u64, scale: f64, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
    let shape = shape.into();
    let mut rng = Streams::new(seed).open(Purpose::Synthesis, [0, 0]);
    let values: Vec<f64> =
        (0..shape.elem_count()).map(|_| scale * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

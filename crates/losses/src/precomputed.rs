//! Losses whose gradient is known together with the value.

use crate::Result;
use crate::device::{is_on_device, upload};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, bail};
use npair_similarity::Element;

/// The scalar `value`, of the embeddings' type, whose gradient by them is `gradient`'s; that is asked for only if a variable
/// stands behind the embeddings. Both lie where the embeddings do.
///
/// # Shapes
/// Embeddings: (B, D), f32 or f64 as `T` says, one row after the other; the gradient: B D numbers in the same order; a scalar.
///
/// # Errors
/// Those of candle, if there are fewer or more numbers.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor, Var};
/// let x = Var::new(&[[3f64, 4.]], &Device::Cpu)?;
/// let squares = npair_losses::precomputed_gradient(&x, 25., || vec![6f64, 8.])?;
/// assert_eq!(squares.backward()?.get(&x).unwrap().to_vec2::<f64>()?, [[6., 8.]]);
/// # Ok::<(), npair_losses::Error>(())
/// ```
pub fn precomputed_gradient<T: Element>(
    embeddings: &Tensor,
    value: f64,
    gradient: impl FnOnce() -> Vec<T>,
) -> Result<Tensor> {
    let gradient = match embeddings.track_op() {
        true => Some(Tensor::from_vec(gradient(), embeddings.shape(), embeddings.device())?),
        false => None,
    };
    if !is_on_device(embeddings) {
        return Ok(embeddings.apply_op1(Precomputed { value, gradient })?);
    }
    let value = upload(vec![value], (), embeddings.dtype(), embeddings.device())?;
    match gradient {
        Some(gradient) => Ok((((embeddings - embeddings.detach())? * gradient)?.sum_all()? + value)?),
        None => Ok(value),
    }
}

struct Precomputed {
    value: f64,
    gradient: Option<Tensor>,
}

impl CustomOp1 for Precomputed {
    fn name(&self) -> &'static str {
        "npair-precomputed-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let value = match storage {
            CpuStorage::F32(_) => CpuStorage::F32(vec![self.value as f32]),
            CpuStorage::F64(_) => CpuStorage::F64(vec![self.value]),
            _ => bail!("{}: f32 or f64 is needed", self.name()),
        };
        Ok((value, Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let factor = upstream.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        match &self.gradient {
            Some(gradient) if factor != 1. => gradient.affine(factor, 0.).map(Some),
            gradient => Ok(gradient.clone()),
        }
    }
}

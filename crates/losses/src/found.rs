//! Losses whose gradient is found together with the value, in plain numbers.

use crate::Result;
use crate::away::{is_away, upload};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, bail};
use npair_similarity::Element;

/// The scalar `value`, of the embeddings' type, whose gradient by them is what `gradient` finds; it is asked only if a
/// variable stands behind them. Both lie where the embeddings do.
pub(crate) fn with_gradient<T: Element>(
    embeddings: &Tensor,
    value: f64,
    gradient: impl FnOnce() -> Vec<T>,
) -> Result<Tensor> {
    let gradient = match embeddings.track_op() {
        true => Some(Tensor::from_vec(gradient(), embeddings.shape(), embeddings.device())?),
        false => None,
    };
    if !is_away(embeddings) {
        return Ok(embeddings.apply_op1(Found { value, gradient })?);
    }
    let value = upload(vec![value], (), embeddings.dtype(), embeddings.device())?;
    match gradient {
        Some(gradient) => Ok((((embeddings - embeddings.detach())? * gradient)?.sum_all()? + value)?),
        None => Ok(value),
    }
}

struct Found {
    value: f64,
    gradient: Option<Tensor>,
}

impl CustomOp1 for Found {
    fn name(&self) -> &'static str {
        "npair-found-gradient"
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

//! Results that were found already, as ends of candle's graph.

use super::on;
use super::soft::{Reference, Soft, Upstream};
use crate::pass::{Kind, Wanted};
use crate::{Mask, Precision};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor, bail};

/// The mean of the rows' results as a scalar that candle can differentiate; f32 for 16-bit sides. The gradients are found
/// with the value, and nothing is read by the host.
pub(crate) fn mean(
    kind: Kind,
    mask: &Mask,
    queries: &Tensor,
    gallery: &Tensor,
    above_diagonal: bool,
    precision: Precision,
) -> Result<Tensor> {
    let reference = if above_diagonal { Reference::Diagonal } else { Reference::Zero };
    let (q, g) = (queries.detach(), gallery.detach());
    let soft = Soft { kind, mask, queries: &q, gallery: &g, reference, precision };
    let wanted = Wanted { queries: queries.track_op(), gallery: gallery.track_op() };
    let share = (1. / queries.dim(0)? as f64) as f32;
    let (found, value) = on::soft_mean(&soft, wanted, Upstream::Each(share))?;
    queries.apply_op2(gallery, Mean { value, gradients: [found.queries, found.gallery] })
}

/// The results of all rows (Q), f32 for 16-bit sides; what comes from above is known only on the way back, so the matrix is
/// made twice.
pub(crate) fn per_row(
    kind: Kind,
    mask: &Mask,
    sides: [&Tensor; 2],
    reference: &Tensor,
    precision: Precision,
) -> Result<Tensor> {
    let [queries, gallery] = sides;
    let op = PerRow { kind, mask: mask.clone(), precision, value: reference.detach() };
    let value = op.run([queries, gallery, reference], Wanted::default(), Upstream::Each(1.))?.results;
    queries.apply_op3(gallery, reference, PerRow { value, ..op })
}

/// The storage of a value that is there already.
fn cpu_value(value: &Tensor) -> Result<(CpuStorage, Shape)> {
    match &*value.storage_and_layout().0 {
        Storage::Cpu(storage) => Ok((storage.clone(), value.shape().clone())),
        _ => bail!("npair: a result is on another device than its sides"),
    }
}

#[cfg(feature = "cuda")]
fn cuda_value(value: &Tensor) -> Result<(candle_core::CudaStorage, Shape)> {
    use candle_core::backend::BackendStorage;
    let (storage, layout) = value.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, value.shape().clone())),
        _ => bail!("npair: a result is on another device than its sides"),
    }
}

#[cfg(feature = "metal")]
fn metal_value(value: &Tensor) -> Result<(candle_core::MetalStorage, Shape)> {
    use candle_core::backend::BackendStorage;
    match value.storage_and_layout() {
        (storage, layout) => match &*storage {
            Storage::Metal(storage) => Ok((storage.try_clone(layout)?, value.shape().clone())),
            _ => bail!("npair: a result is on another device than its sides"),
        },
    }
}

struct Mean {
    value: Tensor,
    gradients: [Option<Tensor>; 2],
}

impl CustomOp2 for Mean {
    fn name(&self) -> &'static str {
        "npair-mean-of-rows"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        cpu_value(&self.value)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        cuda_value(&self.value)
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        _: &candle_core::MetalStorage,
        _: &Layout,
        _: &candle_core::MetalStorage,
        _: &Layout,
    ) -> Result<(candle_core::MetalStorage, Shape)> {
        metal_value(&self.value)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // On the device: the host does not know what came from above.
        let scaled = |t: &Option<Tensor>| match t {
            Some(t) => t.broadcast_mul(&upstream.to_dtype(t.dtype())?).map(Some),
            None => Ok(None),
        };
        let [q, g] = &self.gradients;
        Ok((scaled(q)?, scaled(g)?))
    }
}

struct PerRow {
    kind: Kind,
    mask: Mask,
    precision: Precision,
    value: Tensor,
}

impl PerRow {
    fn run(&self, sides: [&Tensor; 3], wanted: Wanted, upstream: Upstream) -> Result<super::soft::Found> {
        let [queries, gallery, reference] = sides.map(Tensor::detach);
        let reference = reference.to_dtype(DType::F32)?.contiguous()?;
        let soft = Soft {
            kind: self.kind,
            mask: &self.mask,
            queries: &queries,
            gallery: &gallery,
            reference: Reference::Given(&reference),
            precision: self.precision,
        };
        on::soft(&soft, wanted, upstream)
    }
}

impl CustomOp3 for PerRow {
    fn name(&self) -> &'static str {
        "npair-row-reduction"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        cpu_value(&self.value)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        cuda_value(&self.value)
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        _: &candle_core::MetalStorage,
        _: &Layout,
        _: &candle_core::MetalStorage,
        _: &Layout,
        _: &candle_core::MetalStorage,
        _: &Layout,
    ) -> Result<(candle_core::MetalStorage, Shape)> {
        metal_value(&self.value)
    }

    fn bwd(
        &self,
        q: &Tensor,
        g: &Tensor,
        o: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let wanted = Wanted { queries: q.track_op(), gallery: g.track_op() };
        let upstream = upstream.detach().to_dtype(DType::F32)?.contiguous()?;
        let found = self.run([q, g, o], wanted, Upstream::Rows(&upstream))?;
        let below = o.track_op().then(|| found.reference.to_dtype(o.dtype())).transpose()?;
        Ok((found.queries, found.gallery, below))
    }
}

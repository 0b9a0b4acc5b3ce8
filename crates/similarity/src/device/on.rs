//! Which chip a tensor is on.

use super::search::{Search, Terms};
use super::soft::{self, Soft, Upstream};
use super::{Chip, Extremes, search};
use crate::pass::Wanted;
use crate::{Mask, Precision};
use candle_core::{DType, Result, Tensor, bail};
use npair_types::Measure;

/// Work that any chip can do.
trait Work {
    type Out;
    fn on<C: Chip>(self, chip: &C) -> Result<Self::Out>;
}

/// Does it where the tensor is.
fn chip_of<W: Work>(tensor: &Tensor, work: W) -> Result<W::Out> {
    #[cfg(test)]
    if let Some(emulated) = super::emulated::current() {
        return work.on(&*emulated);
    }
    match tensor.device() {
        #[cfg(feature = "cuda")]
        candle_core::Device::Cuda(device) => work.on(&super::cuda::Cuda::of(device)?),
        #[cfg(all(feature = "metal", target_os = "macos"))]
        candle_core::Device::Metal(device) => work.on(&super::metal::Metal::of(device)?),
        other => {
            let _ = work;
            bail!("npair: no kernels for {:?}", other.location())
        }
    }
}

/// Whether kernels take these sides: on a chip that has them, of a type they know, and neither empty.
pub(crate) fn takes(queries: &Tensor, gallery: &Tensor) -> bool {
    let known = matches!(queries.dtype(), DType::F32 | DType::F16 | DType::BF16);
    let there = {
        #[cfg(test)]
        let emulated = super::emulated::current().is_some();
        #[cfg(not(test))]
        let emulated = false;
        emulated
            || cfg!(feature = "cuda") && queries.device().is_cuda()
            || cfg!(all(feature = "metal", target_os = "macos")) && queries.device().is_metal()
    };
    there && known && queries.elem_count() > 0 && gallery.elem_count() > 0
}

struct SoftWork<'a, 'b>(&'a Soft<'a>, Wanted, Upstream<'b>);
impl Work for SoftWork<'_, '_> {
    type Out = soft::Found;
    fn on<C: Chip>(self, chip: &C) -> Result<soft::Found> {
        self.0.run(chip, self.1, self.2)
    }
}

/// A soft reduction.
pub(crate) fn soft(soft: &Soft, wanted: Wanted, upstream: Upstream) -> Result<soft::Found> {
    chip_of(soft.queries, SoftWork(soft, wanted, upstream))
}

struct MeanWork<'a, 'b>(SoftWork<'a, 'b>);
impl Work for MeanWork<'_, '_> {
    type Out = (soft::Found, Tensor);
    fn on<C: Chip>(self, chip: &C) -> Result<(soft::Found, Tensor)> {
        let found = self.0.on(chip)?;
        let mean = soft::mean_of(chip, &found.results)?;
        Ok((found, mean))
    }
}

/// The same, and the mean of its results.
pub(crate) fn soft_mean(soft: &Soft, wanted: Wanted, upstream: Upstream) -> Result<(soft::Found, Tensor)> {
    chip_of(soft.queries, MeanWork(SoftWork(soft, wanted, upstream)))
}

/// What is searched, before the sides are made ready.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) queries: &'a Tensor,
    pub(crate) gallery: &'a Tensor,
    pub(crate) measure: Measure,
    pub(crate) mask: &'a Mask,
    pub(crate) precision: Precision,
}

impl Sides<'_> {
    fn with<R>(self, f: impl FnOnce(&Search) -> Result<R>) -> Result<R> {
        let side = |t: &Tensor| -> Result<Tensor> {
            let t = t.detach();
            match self.measure {
                Measure::Cosine => {
                    let wide = t.to_dtype(DType::F32)?;
                    let unit = crate::dense::normalised(&wide).map_err(candle_core::Error::wrap)?;
                    unit.to_dtype(t.dtype())?.contiguous()
                }
                _ => t.contiguous(),
            }
        };
        let (queries, gallery) = (side(self.queries)?, side(self.gallery)?);
        let terms = Terms::of(self.measure, &queries, &gallery)?;
        let (mask, precision) = (self.mask, self.precision);
        f(&Search { queries: &queries, gallery: &gallery, terms: &terms, mask, precision })
    }
}

struct SearchWork<'a, 'b>(&'a Search<'b>, usize);
impl Work for SearchWork<'_, '_> {
    type Out = Option<search::Found>;
    fn on<C: Chip>(self, chip: &C) -> Result<Self::Out> {
        (self.1 <= Search::most(chip)).then(|| self.0.run(chip, self.1)).transpose()
    }
}

/// The k nearest, or none if k is more than a chip sorts.
pub(crate) fn find_nearest(sides: Sides, k: usize) -> Result<Option<search::Found>> {
    sides.with(|search| chip_of(search.queries, SearchWork(search, k)))
}

struct ExtremesWork<'a, 'b>(&'a Search<'b>, bool);
impl Work for ExtremesWork<'_, '_> {
    type Out = Extremes;
    fn on<C: Chip>(self, chip: &C) -> Result<Self::Out> {
        self.0.extremes(chip, self.1)
    }
}

/// The nearest of every query, or the farthest.
pub(crate) fn find_extremes(sides: Sides, farthest: bool) -> Result<Extremes> {
    sides.with(|search| chip_of(search.queries, ExtremesWork(search, farthest)))
}

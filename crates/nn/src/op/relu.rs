use super::storage::{dtype, shaped, slice, store, with};
use crate::kernel::{Element, by_dtype};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Entries that one task works on.
const GRAIN: usize = 1 << 14;

/// `max(x, 0)`. The gradient needs the result alone, and is 0 at 0.
pub(crate) struct Rectify;

impl Rectify {
    const NAME: &'static str = "npair relu";
}

impl CustomOp1 for Rectify {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            let out: Vec<T> = zip(slice(x, layout)?, slice(x, layout)?, |x: T, _| if x < 0. { 0. } else { x });
            Ok((store(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, _: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        by_dtype!(out.dtype(), Self::NAME, T => with(out, |o: &[T]| with(grad, |g: &[T]| {
            Ok(Some(shaped(zip(o, g, |o, g| if o <= 0. { 0. } else { g }), out)?))
        })))
    }
}

fn zip<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::ZERO; a.len()];
    out.par_chunks_mut(GRAIN).zip(a.par_chunks(GRAIN)).zip(b.par_chunks(GRAIN)).for_each(|((out, a), b)| {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o = f(a, b);
        }
    });
    out
}

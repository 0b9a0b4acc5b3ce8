use super::storage::{dtype, shaped, slice, store, with};
use crate::kernel::by_dtype;
use crate::kernel::pool::{self, Window};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Largest value of every window.
pub(crate) struct MaxPool {
    pub window: Window,
    pub shape: Shape,
}

impl MaxPool {
    const NAME: &'static str = "npair max_pool2d";
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            Ok((store::<T>(pool::max(&self.window, slice(x, layout)?)), self.shape.clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        by_dtype!(x.dtype(), Self::NAME, T => with(grad, |g: &[T]| {
            Ok(Some(with(x, |values| shaped(pool::max_gradient(&self.window, values, g), x))?))
        }))
    }
}

/// Mean of every window.
pub(crate) struct MeanPool {
    pub window: Window,
    pub count_padding: bool,
    pub shape: Shape,
}

impl MeanPool {
    const NAME: &'static str = "npair avg_pool2d";
}

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            let out: Vec<T> = pool::mean(&self.window, slice(x, layout)?, self.count_padding);
            Ok((store(out), self.shape.clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        by_dtype!(x.dtype(), Self::NAME, T => with(grad, |g: &[T]| {
            Ok(Some(shaped(pool::mean_gradient(&self.window, g, self.count_padding), x)?))
        }))
    }
}

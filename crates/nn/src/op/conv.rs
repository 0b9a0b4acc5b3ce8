use super::storage::{dtype, shaped, slice, store, with};
use crate::kernel::conv::{self, Geometry};
use crate::kernel::{Element, by_dtype};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// Convolution of (input, weight) or (input, weight, bias).
pub(crate) struct Convolution(pub Geometry);

impl Convolution {
    const NAME: &'static str = "npair conv2d";

    fn shape(&self) -> Shape {
        Shape::from((self.0.batch, self.0.outputs, self.0.map.0, self.0.map.1))
    }

    fn gradients<T: Element>(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        with(grad, |g: &[T]| {
            let dx = match x.track_op() {
                true => Some(with(w, |w| shaped(conv::input_gradient(&self.0, w, g), x))?),
                false => None,
            };
            let dw = match w.track_op() {
                true => Some(with(x, |x| shaped(conv::weight_gradient(&self.0, x, g), w))?),
                false => None,
            };
            Ok((dx, dw))
        })
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            Ok((store::<T>(conv::forward(&self.0, slice(x, xl)?, slice(w, wl)?, None)), self.shape()))
        })
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        by_dtype!(x.dtype(), Self::NAME, T => self.gradients::<T>(x, w, grad))
    }
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            let out = conv::forward(&self.0, slice::<T>(x, xl)?, slice(w, wl)?, Some(slice(b, bl)?));
            Ok((store(out), self.shape()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        by_dtype!(x.dtype(), Self::NAME, T => {
            let (dx, dw) = self.gradients::<T>(x, w, grad)?;
            let db = match b.track_op() {
                true => Some(with(grad, |g: &[T]| shaped(conv::bias_gradient(&self.0, g), b))?),
                false => None,
            };
            Ok((dx, dw, db))
        })
    }
}

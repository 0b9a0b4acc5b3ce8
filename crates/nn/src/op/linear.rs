use super::storage::{dtype, shaped, slice, store, with};
use crate::kernel::matrix::{Place, product};
use crate::kernel::{Element, by_dtype};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Rows of a product that one task makes; fixed, so that the bits do not depend on the number of threads.
const ROWS: usize = 32;

/// `x w^T` or `x w^T + b` of (input, weight) or (input, weight, bias).
pub(crate) struct Affine {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Shape of the result.
    pub shape: Shape,
}

impl Affine {
    const NAME: &'static str = "npair linear";

    fn forward<T: Element>(&self, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
        let (i, o) = (self.inputs, self.outputs);
        let mut out = vec![T::ZERO; self.rows * o];
        if out.is_empty() {
            return out;
        }
        out.par_chunks_mut(ROWS * o).enumerate().for_each(|(at, out)| {
            let rows = out.len() / o;
            if let Some(bias) = bias {
                out.chunks_exact_mut(o).for_each(|row| row.copy_from_slice(bias));
            }
            let x = (&x[at * ROWS * i..], Place::rows(rows, i, i));
            product((out, Place::rows(rows, o, o)), x, (w, Place::rows(o, i, i).transposed()), bias.is_some());
        });
        out
    }

    fn input_gradient<T: Element>(&self, w: &[T], grad: &[T]) -> Vec<T> {
        let (i, o) = (self.inputs, self.outputs);
        let mut dx = vec![T::ZERO; self.rows * i];
        if dx.is_empty() {
            return dx;
        }
        dx.par_chunks_mut(ROWS * i).enumerate().for_each(|(at, dx)| {
            let rows = dx.len() / i;
            let grad = (&grad[at * ROWS * o..], Place::rows(rows, o, o));
            product((dx, Place::rows(rows, i, i)), grad, (w, Place::rows(o, i, i)), false);
        });
        dx
    }

    fn weight_gradient<T: Element>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        let (i, o) = (self.inputs, self.outputs);
        let mut dw = vec![T::ZERO; o * i];
        if dw.is_empty() {
            return dw;
        }
        dw.par_chunks_mut(ROWS * i).enumerate().for_each(|(at, dw)| {
            let rows = dw.len() / i;
            let grad = (grad.get(at * ROWS..).unwrap_or(&[]), Place::rows(self.rows, rows, o).transposed());
            product((dw, Place::rows(rows, i, i)), grad, (x, Place::rows(self.rows, i, i)), false);
        });
        dw
    }

    fn bias_gradient<T: Element>(&self, grad: &[T]) -> Vec<T> {
        let mut sums = vec![0f64; self.outputs];
        for row in grad.chunks_exact(self.outputs) {
            for (s, g) in sums.iter_mut().zip(row) {
                *s += g.to_f64();
            }
        }
        sums.into_iter().map(T::from_f64).collect()
    }

    fn gradients<T: Element>(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        with(grad, |g: &[T]| {
            let dx = match x.track_op() {
                true => Some(with(w, |w| shaped(self.input_gradient(w, g), x))?),
                false => None,
            };
            let dw = match w.track_op() {
                true => Some(with(x, |x| shaped(self.weight_gradient(x, g), w))?),
                false => None,
            };
            Ok((dx, dw))
        })
    }
}

impl CustomOp2 for Affine {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            Ok((store::<T>(self.forward(slice(x, xl)?, slice(w, wl)?, None)), self.shape.clone()))
        })
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        by_dtype!(x.dtype(), Self::NAME, T => self.gradients::<T>(x, w, grad))
    }
}

impl CustomOp3 for Affine {
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
            let out = self.forward(slice::<T>(x, xl)?, slice(w, wl)?, Some(slice(b, bl)?));
            Ok((store(out), self.shape.clone()))
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
                true => Some(with(grad, |g: &[T]| shaped(self.bias_gradient(g), b))?),
                false => None,
            };
            Ok((dx, dw, db))
        })
    }
}

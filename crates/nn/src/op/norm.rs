use super::storage::{dtype, shaped, slice, store, with};
use crate::kernel::norm::{self, Affine, Linear, Moments, Planes};
use crate::kernel::{Element, by_dtype};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// Where the statistics of a batch norm come from.
#[derive(Debug, Clone)]
pub(crate) enum Statistics {
    /// The batch itself. The forward pass leaves them here, for the backward pass and for the running estimate.
    Batch(Arc<OnceLock<Moments>>),
    /// Given constants.
    Given(Moments),
}

/// Batch norm of (input, gamma, beta), with a ReLU behind it if asked for.
pub(crate) struct Normalisation {
    pub planes: Planes,
    pub statistics: Statistics,
    pub epsilon: f64,
    pub relu: bool,
}

impl Normalisation {
    const NAME: &'static str = "npair batch_norm";

    fn moments<T: Element>(&self, x: &[T]) -> Moments {
        match &self.statistics {
            Statistics::Batch(cell) => cell.get_or_init(|| norm::moments(self.planes, x)).clone(),
            Statistics::Given(moments) => moments.clone(),
        }
    }

    fn gradients<T: Element>(&self, x: &[T], gamma: &[T], out: &[T], grad: &[T], dx: bool) -> Gradients<T> {
        let moments = self.moments(x);
        let out = self.relu.then_some(out);
        let sums = norm::sums(self.planes, x, grad, out, &moments.mean);
        let inverse = moments.inverse_deviation(self.epsilon);
        let linear = match &self.statistics {
            Statistics::Batch(_) => Linear::of_batch(&moments, &sums, self.planes.count(), self.epsilon, gamma),
            Statistics::Given(_) => Linear::of_constants(&moments, self.epsilon, gamma),
        };
        Gradients {
            x: dx.then(|| norm::input_gradient(self.planes, x, grad, out, &linear)),
            gamma: sums.centred.iter().zip(inverse).map(|(s, i)| T::from_f64(s * i)).collect(),
            beta: sums.plain.iter().map(|&s| T::from_f64(s)).collect(),
        }
    }
}

struct Gradients<T> {
    x: Option<Vec<T>>,
    gamma: Vec<T>,
    beta: Vec<T>,
}

impl CustomOp3 for Normalisation {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        gamma: &CpuStorage,
        gl: &Layout,
        beta: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(dtype(x), Self::NAME, T => {
            let values: &[T] = slice(x, xl)?;
            let affine = Affine::new(&self.moments(values), self.epsilon, slice::<T>(gamma, gl)?, slice(beta, bl)?);
            Ok((store(norm::apply(self.planes, values, &affine, self.relu)), xl.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        by_dtype!(x.dtype(), Self::NAME, T => {
            let g: Gradients<T> = with(x, |values| with(gamma, |gamma| with(out, |out| with(grad, |grad| {
                Ok(self.gradients(values, gamma, out, grad, x.track_op()))
            }))))?;
            let dx = g.x.map(|dx| shaped(dx, x)).transpose()?;
            let of = |values, arg: &Tensor| arg.track_op().then(|| shaped::<T>(values, arg)).transpose();
            Ok((dx, of(g.gamma, gamma)?, of(g.beta, beta)?))
        })
    }
}

use crate::rows::accept;
use crate::setting::within;
use crate::{Regularizer, RegularizerSettings, Result};
use candle_core::{D, Tensor};

/// The norms of rows kept small; with p = 1 the rows become sparse.
///
/// ```text
/// R = 1/B  sum_i  (sum_d |x_id|^p)^(1/p)
/// ```
/// # Shapes
/// Rows: (B, D); a scalar.
///
/// # Units
/// Those of the rows.
///
/// # Gradient
/// 0 for a zero row, and for an entry of 0, where the true one has no value.
///
/// # Numerics
/// A row is divided by its largest entry first, so that no power overflows.
///
/// # Source
/// p = 2 is the paper's regularizer in one of its forms (see [`NormForm`](crate::NormForm)); values as
/// pytorch-metric-learning's `LpRegularizer`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{LpNorm, Regularizer};
/// let x = Tensor::new(&[[3f64, -4.], [0., 0.]], &Device::Cpu)?;
/// assert_eq!(LpNorm::new(1.)?.penalty(&x)?.to_scalar::<f64>()?, 3.5); // (7 + 0) / 2
/// assert!((LpNorm::new(2.)?.penalty(&x)?.to_scalar::<f64>()? - 2.5).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LpNorm {
    p: f64,
}

impl LpNorm {
    /// The norm of exponent p >= 1.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if p is below 1 or not finite.
    pub fn new(p: f64) -> Result<Self> {
        Ok(Self { p: within("p", p, p.is_finite() && p >= 1., "a finite number from 1")? })
    }
}

npair_types::settings! {
    /// Mean of the norms.
    pub struct LpNormSettings {
        /// The norm's exponent p, from 1.
        p: f64 = 2.0,
    }
}

impl RegularizerSettings for LpNormSettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(LpNorm::new(self.p)?))
    }
}

impl Regularizer for LpNorm {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = &accept("rows", rows)?;
        // Signs and scale are constants of the norm: |x| = x sign(x), |x| = s |x / s|.
        let sizes = (rows * rows.detach().sign()?)?;
        if self.p == 1. {
            return Ok(sizes.sum(D::Minus1)?.mean_all()?);
        }
        let largest = sizes.detach().max_keepdim(D::Minus1)?;
        let scale = largest.gt(0f64)?.where_cond(&largest, &largest.ones_like()?)?;
        let scaled = sizes.broadcast_div(&scale)?;
        // The power's slope at 0 is no number where p < 2.
        let some = scaled.gt(0f64)?;
        let safe = some.where_cond(&scaled, &scaled.ones_like()?)?;
        let powers = some.where_cond(&safe.powf(self.p)?, &scaled.zeros_like()?)?.sum_keepdim(D::Minus1)?;
        let some = powers.gt(0f64)?;
        let safe = some.where_cond(&powers, &powers.ones_like()?)?;
        let norms = some.where_cond(&safe.powf(1. / self.p)?, &powers.zeros_like()?)?;
        Ok(norms.mul(&scale)?.mean_all()?)
    }

    fn name(&self) -> &str {
        "Lp norm"
    }
}

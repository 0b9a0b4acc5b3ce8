use crate::rows::accept;
use crate::{Regularizer, RegularizerSettings, Result};
use candle_core::{D, Tensor};

/// Rows whose entries have the mean 0.
///
/// ```text
/// R = 1/B  sum_i  |sum_d x_id|
/// ```
/// # Shapes
/// Rows: (B, D); a scalar.
///
/// # Gradient
/// 0 for a row that sums to 0.
///
/// # Source
/// pytorch-metric-learning's `ZeroMeanRegularizer`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Regularizer, ZeroMean};
/// let x = Tensor::new(&[[1f64, -3.], [2., -2.]], &Device::Cpu)?;
/// assert_eq!(ZeroMean.penalty(&x)?.to_scalar::<f64>()?, 1.); // (2 + 0) / 2
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ZeroMean;

npair_types::settings! {
    /// Entries of a row with the mean 0.
    pub struct ZeroMeanSettings {}
}

impl RegularizerSettings for ZeroMeanSettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(ZeroMean))
    }
}

impl Regularizer for ZeroMean {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = &accept("rows", rows)?;
        let sums = rows.sum(D::Minus1)?;
        Ok((&sums * sums.detach().sign()?)?.mean_all()?)
    }

    fn name(&self) -> &str {
        "zero mean"
    }
}

use crate::rows::expect_matrix;
use crate::{Regulariser, Result};
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
/// # use npair_losses::{Regulariser, ZeroMean};
/// let x = Tensor::new(&[[1f64, -3.], [2., -2.]], &Device::Cpu)?;
/// assert_eq!(ZeroMean.of(&x)?.to_scalar::<f64>()?, 1.); // (2 + 0) / 2
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ZeroMean;

impl Regulariser for ZeroMean {
    fn of(&self, rows: &Tensor) -> Result<Tensor> {
        expect_matrix("rows", rows)?;
        let sums = rows.sum(D::Minus1)?;
        Ok((&sums * sums.detach().sign()?)?.mean_all()?)
    }
}

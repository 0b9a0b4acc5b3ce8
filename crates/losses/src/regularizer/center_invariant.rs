use crate::rows::accept;
use crate::{Regularizer, RegularizerSettings, Result};
use candle_core::{D, Tensor};

/// Center invariance: all rows equally long, so that a class with many examples has no longer weights than one with few.
///
/// ```text
/// R = 1/(4 B)  sum_i  (|x_i|^2 - 1/B sum_j |x_j|^2)^2
/// ```
/// # Shapes
/// Rows: (B, D), mostly the weights of classes; a scalar, 0 for a single row.
///
/// # Units
/// Fourth power of a length.
///
/// # Source
/// Wu et al., "Deep Face Recognition with Center Invariant Loss", ACM Multimedia workshops 2017; values as
/// pytorch-metric-learning's `CenterInvariantRegularizer`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{CenterInvariant, Regularizer};
/// let x = Tensor::new(&[[1f64, 1.], [2., 0.]], &Device::Cpu)?;
/// // Squares 2 and 4, each 1 from their mean.
/// assert_eq!(CenterInvariant.penalty(&x)?.to_scalar::<f64>()?, 0.25);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct CenterInvariant;

npair_types::settings! {
    /// Equal norms.
    pub struct CenterInvariantSettings {}
}

impl RegularizerSettings for CenterInvariantSettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(CenterInvariant))
    }
}

impl Regularizer for CenterInvariant {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = &accept("rows", rows)?;
        let squares = rows.sqr()?.sum(D::Minus1)?;
        let from_mean = squares.broadcast_sub(&squares.mean_all()?)?;
        Ok((from_mean.sqr()?.mean_all()? / 4.)?)
    }

    fn name(&self) -> &str {
        "center invariance"
    }
}

use super::nearest::with_nearest;
use crate::rows::dots;
use crate::{Regularizer, RegularizerSettings, Result};
use candle_core::Tensor;

/// Exclusive regularization (RegularFace): the direction of every class away from its nearest other.
///
/// ```text
/// R = 1/C  sum_i  max_{j != i} cos(w_i, w_j)
/// ```
/// # Shapes
/// Rows w: (C, D), C >= 2, mostly the weights of classes; a scalar.
///
/// # Units
/// Cosine: from -1 to 1. Rows are normalized here.
///
/// # Gradient
/// To a row and its nearest, where that is another one; a zero row is at cosine 0 from all.
///
/// # Numerics
/// In f64, the matrix is streamed: O(C D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) for a single row.
///
/// # Source
/// Zhao et al., "RegularFace: Deep Face Recognition via Exclusive Regularization", CVPR 2019; values as
/// pytorch-metric-learning's `RegularFaceRegularizer`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{RegularFace, Regularizer};
/// let w = Tensor::new(&[[2f64, 0.], [0., 3.], [-1., 0.]], &Device::Cpu)?;
/// assert_eq!(RegularFace.penalty(&w)?.to_scalar::<f64>()?, 0.); // each has another at a right angle
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RegularFace;

npair_types::settings! {
    /// Directions away from their nearest (Zhao et al., 2019).
    pub struct RegularFaceSettings {}
}

impl RegularizerSettings for RegularFaceSettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(RegularFace))
    }
}

impl Regularizer for RegularFace {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let ([unit, nearest], dtype) = with_nearest("RegularFace", rows)?;
        Ok(dots(&unit, &nearest)?.mean_all()?.to_dtype(dtype)?)
    }

    fn name(&self) -> &str {
        "RegularFace"
    }
}

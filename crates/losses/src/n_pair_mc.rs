use crate::loss::{expect_pairs, loss_of_pairs};
use crate::{LossValue, PairLoss, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// Multi-class N-pair loss: every query against the positives of all other classes at once.
///
/// ```text
/// L = 1/N  sum_i  log(1 + sum_{j != i} exp(f_i . p_j - f_i . p_i))
/// ```
/// # Shapes
/// `anchors` f and `positives` p: (N, D), row i of both from class i, N >= 2; a scalar.
///
/// # Units
/// Nats; log N when all embeddings are equal. Embeddings are taken as they are, not normalised.
///
/// # Gradient
/// To both arguments, in O(N D) memory: the matrix is streamed.
///
/// # Numerics
/// Rows are shifted by their maximum and summed in f64.
///
/// # Source
/// Sohn, NIPS 2016, equation 7.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{NPairMc, PairLoss};
/// let zeros = Tensor::zeros((4, 3), candle_core::DType::F64, &Device::Cpu)?;
/// let loss = NPairMc.of_pairs(&zeros, &zeros)?;
/// assert_eq!(loss.to_f64()?, 4f64.ln());
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NPairMc;

impl PairLoss for NPairMc {
    fn of_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let n = expect_pairs("N-pair-mc", anchors, positives)?;
        Ok(LossValue::smooth(mean(anchors, positives)?, n))
    }
}

/// The mean over the queries; its gradients are found with it.
pub(crate) fn mean(queries: &Tensor, positives: &Tensor) -> Result<Tensor> {
    Ok(Similarity::new(queries, positives, Measure::Dot)?.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal)?)
}

loss_of_pairs!(NPairMc);

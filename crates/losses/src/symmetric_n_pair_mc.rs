use crate::loss::{expect_pairs, loss_of_pairs};
use crate::n_pair_mc::mean;
use crate::{LossValue, PairLoss, Result};
use candle_core::Tensor;

/// Multi-class N-pair loss in both directions: the mean of [`NPairMc`](crate::NPairMc) and of itself with anchors and
/// positives exchanged. The paper names a symmetric form without saying how the two are combined; the mean keeps the
/// scale of the plain loss.
///
/// ```text
/// L = 1/2 (L_mc(f, p) + L_mc(p, f))
/// ```
/// Shapes, units and errors are those of [`NPairMc`](crate::NPairMc).
///
/// # Source
/// Sohn, NIPS 2016, footnote 2.
#[derive(Debug, Clone, Copy, Default)]
pub struct SymmetricNPairMc;

impl PairLoss for SymmetricNPairMc {
    fn of_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let n = expect_pairs("symmetric N-pair-mc", anchors, positives)?;
        let sum = (mean(anchors, positives)? + mean(positives, anchors)?)?;
        Ok(LossValue::smooth((sum * 0.5)?, 2 * n))
    }
}

loss_of_pairs!(SymmetricNPairMc);

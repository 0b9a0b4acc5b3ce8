use super::n_pair_mc::mean;
use crate::loss_of_pairs::{PairLoss, expect_pairs, of_pairs};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
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

npair_types::settings! {
    /// Multi-class N-pair loss in both directions, footnote 2.
    pub struct SymmetricNPairMcSettings {}
}

impl LossSettings for SymmetricNPairMcSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(SymmetricNPairMc))
    }
}

impl PairLoss for SymmetricNPairMc {
    fn forward_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let (anchors, positives) = expect_pairs("symmetric N-pair-mc", anchors, positives)?;
        let sum = (mean(&anchors, &positives)? + mean(&positives, &anchors)?)?;
        Ok(LossValue::smooth((sum * 0.5)?, 2 * anchors.dim(0)?))
    }
}

impl Loss for SymmetricNPairMc {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_pairs(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::n_pairs()
    }

    fn name(&self) -> &str {
        "symmetric N-pair-mc"
    }
}

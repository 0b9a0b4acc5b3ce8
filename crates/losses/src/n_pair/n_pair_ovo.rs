use super::n_pair_mc::MoreNegatives;
use crate::loss_of_pairs::{PairLoss, expect_pairs, of_pairs};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// One-vs-one N-pair loss: every query against the positive of each other class, one at a time.
///
/// ```text
/// L = 1/N  sum_i  sum_{j != i} log(1 + exp(f_i . p_j - f_i . p_i))
/// ```
/// The inner sum is not divided by N - 1, as in the paper, so that the loss grows with N.
///
/// # Shapes
/// `anchors` f and `positives` p: (N, D), row i of both from class i, N >= 2; a scalar.
///
/// # Units
/// Nats; (N - 1) log 2 when all embeddings are equal.
///
/// # Source
/// Sohn, NIPS 2016, equation 8.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{NPairOvo, PairLoss};
/// let zeros = Tensor::zeros((3, 2), candle_core::DType::F64, &Device::Cpu)?;
/// let loss = NPairOvo.forward_pairs(&zeros, &zeros)?;
/// assert!((loss.to_f64()? - 2. * 2f64.ln()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NPairOvo;

npair_types::settings! {
    /// One-vs-one N-pair loss, equation 8.
    pub struct NPairOvoSettings {}
}

impl LossSettings for NPairOvoSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(NPairOvo))
    }
}

impl PairLoss for NPairOvo {
    fn forward_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let (anchors, positives) = expect_pairs("N-pair-ovo", anchors, positives)?;
        let n = anchors.dim(0)?;
        let similarity = Similarity::new(&anchors, &positives, Measure::Dot)?;
        Ok(LossValue::smooth(similarity.mean_softplus_sum_above_diagonal(&Mask::OffDiagonal)?, n * (n - 1)))
    }
}

impl Loss for NPairOvo {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let pairs = batch.pairs()?;
        let Some(more) = MoreNegatives::new(batch, &pairs)? else {
            return of_pairs(self, batch);
        };
        let sums = more.similarity.softplus_sum_above(&more.own, &more.mask)?;
        let anchors = pairs.anchors().iter();
        // The other positives, and the reference's rows of other classes.
        let (b, all, classes) = (batch.labels().len(), batch.all_labels().len(), batch.classes());
        let own = |i: usize| classes.of(i).iter().filter(|&&j| j >= b).count();
        let terms = anchors.map(|&i| pairs.len() - 1 + all - b - own(i)).sum();
        Ok(LossValue::smooth(sums.mean_all()?, terms))
    }

    fn accepts(&self) -> Accepts {
        Accepts::n_pairs().with_reference()
    }

    fn name(&self) -> &str {
        "N-pair-ovo"
    }
}

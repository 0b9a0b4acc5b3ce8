use crate::loss_of_pairs::{PairLoss, expect_pairs, of_pairs};
use crate::rows::{dots, pick};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, PairLossOnRanks, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure, Pairs};

/// Multi-class N-pair loss: every query against the positives of all other classes at once.
///
/// ```text
/// L = 1/N  sum_i  log(1 + sum_{j != i} exp(f_i . p_j - f_i . p_i))
/// ```
/// # Shapes
/// `anchors` f and `positives` p: (N, D), row i of both from class i, N >= 2; a scalar.
///
/// # Units
/// Nats; log N when all embeddings are equal. Embeddings are taken as they are, not normalized.
///
/// # Gradient
/// To both arguments, in O(N D) memory: the matrix is streamed.
///
/// # Numerics
/// Rows are shifted by their maximum and summed in f64.
///
/// # Source
/// Sohn, NIPS 2016, equation 7. With a memory its rows of other classes are further negatives.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{NPairMc, PairLoss};
/// let zeros = Tensor::zeros((4, 3), candle_core::DType::F64, &Device::Cpu)?;
/// let loss = NPairMc.forward_pairs(&zeros, &zeros)?;
/// assert_eq!(loss.to_f64()?, 4f64.ln());
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NPairMc;

npair_types::settings! {
    /// Multi-class N-pair loss, equation 7.
    pub struct NPairMcSettings {}
}

impl LossSettings for NPairMcSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(NPairMc))
    }
}

impl PairLoss for NPairMc {
    fn forward_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let (anchors, positives) = expect_pairs("N-pair-mc", anchors, positives)?;
        Ok(LossValue::smooth(mean(&anchors, &positives)?, anchors.dim(0)?))
    }
}

/// The mean over the queries, with its gradient.
pub(crate) fn mean(queries: &Tensor, positives: &Tensor) -> Result<Tensor> {
    Ok(Similarity::new(queries, positives, Measure::Dot)?.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal)?)
}

impl Loss for NPairMc {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let pairs = batch.pairs()?;
        let Some(more) = MoreNegatives::new(batch, &pairs)? else {
            return of_pairs(self, batch);
        };
        let terms = more.similarity.log1p_sum_exp_above(&more.own, &more.mask)?;
        Ok(LossValue::smooth(terms.mean_all()?, pairs.len()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::n_pairs().with_reference()
    }

    fn name(&self) -> &str {
        "N-pair-mc"
    }

    fn on_ranks(&self) -> Option<&dyn PairLossOnRanks> {
        Some(self)
    }
}

/// N pairs whose anchors meet the rows of a reference too: those of other classes are negatives as well.
pub(crate) struct MoreNegatives {
    /// Anchors against the positives and the reference.
    pub(crate) similarity: Similarity,
    /// Each anchor with its positive.
    pub(crate) own: Tensor,
    /// Anchors and negatives.
    pub(crate) mask: Mask,
}

impl MoreNegatives {
    /// None if there is no reference.
    pub(crate) fn new(batch: &Batch, pairs: &Pairs) -> Result<Option<Self>> {
        let Some(reference) = batch.reference() else { return Ok(None) };
        let anchors = pick(batch.embeddings(), pairs.anchors())?;
        let positives = pick(batch.embeddings(), pairs.positives())?;
        let of_pairs: Vec<_> = pairs.anchors().iter().map(|&i| batch.labels().get(i)).collect();
        let of_reference = &batch.all_labels().as_slice()[batch.labels().len()..];
        let columns = Labels::from_ids([&of_pairs, of_reference].concat())?;
        Ok(Some(Self {
            similarity: Similarity::new(&anchors, &Tensor::cat(&[&positives, reference], 0)?, Measure::Dot)?,
            own: dots(&anchors, &positives)?,
            mask: Mask::other_class(&Labels::from_ids(of_pairs)?, &columns),
        }))
    }
}

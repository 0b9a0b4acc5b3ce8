use crate::loss::{expect_pairs, loss_of_pairs};
use crate::rows::{dots, pick};
use crate::{Gallery, GalleryLoss, LossValue, PairLoss, Result};
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
/// Nats; log N when all embeddings are equal. Embeddings are taken as they are, not normalised.
///
/// # Gradient
/// To both arguments, in O(N D) memory: the matrix is streamed.
///
/// # Numerics
/// Rows are shifted by their maximum and summed in f64.
///
/// # Source
/// Sohn, NIPS 2016, equation 7. With a memory ([`GalleryLoss`]) its rows of other classes are further negatives.
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

impl GalleryLoss for NPairMc {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let pairs = Pairs::from_labels(gallery.of_queries())?;
        let Some(more) = MoreNegatives::new(gallery, &pairs)? else {
            return self.of_pairs_in(gallery.queries(), &pairs);
        };
        let terms = more.similarity.log1p_sum_exp_above(&more.own, &more.mask)?;
        Ok(LossValue::smooth(terms.mean_all()?, pairs.len()))
    }
}

loss_of_pairs!(NPairMc, GalleryLoss);

/// N pairs whose anchors meet the rows of a memory too: those of other classes are negatives as well.
pub(crate) struct MoreNegatives {
    /// Anchors against the positives and the memory.
    pub(crate) similarity: Similarity,
    /// Each anchor with its positive.
    pub(crate) own: Tensor,
    /// Anchors and negatives.
    pub(crate) mask: Mask,
}

impl MoreNegatives {
    /// None if there is no memory.
    pub(crate) fn new(gallery: &Gallery, pairs: &Pairs) -> Result<Option<Self>> {
        let Some(memory) = gallery.memory() else { return Ok(None) };
        let anchors = pick(gallery.queries(), pairs.anchors())?;
        let positives = pick(gallery.queries(), pairs.positives())?;
        let of_pairs: Vec<_> = pairs.anchors().iter().map(|&i| gallery.of_queries().get(i)).collect();
        let of_memory = &gallery.labels().as_slice()[gallery.of_queries().len()..];
        let columns = Labels::from_ids([&of_pairs, of_memory].concat())?;
        Ok(Some(Self {
            similarity: Similarity::new(&anchors, &Tensor::cat(&[&positives, memory], 0)?, Measure::Dot)?,
            own: dots(&anchors, &positives)?,
            mask: Mask::other_class(&Labels::from_ids(of_pairs)?, &columns),
        }))
    }
}

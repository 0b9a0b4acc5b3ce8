//! The direct doors of losses of pairs and of triplets: rows that are picked already.

use crate::rows::{accept, expect_like, expect_matrix, pick, to_side};
use crate::{Batch, Error, LossValue, Result};
use candle_core::Tensor;

/// A loss of N pairs: anchors and positives are (N, D), row i of both from class i, no two rows of one class. Of the rows of a
/// batch it is a [`Loss`](crate::Loss) too.
pub trait PairLoss: Send + Sync {
    /// The loss of N anchors and their positives.
    ///
    /// # Numerics
    /// Number types as of a [`Batch`], but for 16 bits on a device, which stay: the kernels of the matrix multiply them as they are
    /// and sum in f32.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ, [`Error::TooFew`] if N < 2, a similarity error with the first row that is
    /// not finite.
    fn forward_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue>;
}

/// A loss of triplets: three tensors (T, D); row i of anchors and positives from one class, of negatives from another. Of the rows
/// of a batch it is a [`Loss`](crate::Loss) too.
pub trait TripletLoss: Send + Sync {
    /// The loss of T triplets.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ or there is no row, a similarity error with the first row that is not finite.
    fn forward_triplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue>;
}

/// The loss of the pairs of a batch.
pub(crate) fn of_pairs(loss: &impl PairLoss, batch: &Batch) -> Result<LossValue> {
    let (x, pairs) = (batch.embeddings(), batch.pairs()?);
    loss.forward_pairs(&pick(x, pairs.anchors())?, &pick(x, pairs.positives())?)
}

/// The loss of the triplets of a batch; nothing if a miner's pairs give none.
pub(crate) fn of_triplets(loss: &impl TripletLoss, batch: &Batch) -> Result<LossValue> {
    let (x, Some(t)) = (batch.embeddings(), batch.triplets()?) else { return LossValue::nothing(batch.embeddings()) };
    loss.forward_triplets(&pick(x, t.anchors())?, &pick(x, t.positives())?, &pick(x, t.negatives())?)
}

/// The two sides of a list of N >= 2 pairs; a row that is not finite is found when they are multiplied.
pub(crate) fn expect_pairs(loss: &str, anchors: &Tensor, positives: &Tensor) -> Result<(Tensor, Tensor)> {
    let (got, _) = expect_matrix("anchors", anchors)?;
    expect_like("positives", positives, "anchors", anchors)?;
    match got < 2 {
        true => Err(Error::too_few(loss, "pairs of different classes", 2, got)),
        false => Ok((to_side("anchors", anchors)?, to_side("positives", positives)?)),
    }
}

/// The three sides of a list of triplets.
pub(crate) fn expect_triplets(anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<[Tensor; 3]> {
    let anchors = accept("anchors", anchors)?;
    expect_like("positives", positives, "anchors", &anchors)?;
    expect_like("negatives", negatives, "anchors", &anchors)?;
    Ok([anchors, accept("positives", positives)?, accept("negatives", negatives)?])
}

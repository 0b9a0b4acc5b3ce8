use crate::row::{Hinges, MatrixLoss, Relations, RowMatrix, of_matrix};
use crate::setting::from_zero;
use crate::{Accepts, Batch, Entry, Loss, LossContext, LossSettings, LossValue, Needs, Reducer, Result, RowTerms};
use npair_similarity::Element;

/// Pairwise contrastive loss: over all pairs of a batch or those that a miner chose, on distances of rows of length 1, with a margin on either side.
///
/// ```text
/// L = R over pairs of one class of   max(0, |x_a - x_b| - m+)
///   + R over pairs of two classes of max(0, m- - |x_a - x_b|)
/// ```
/// R is the [`Reducer`], for each part on its own; every pair is taken from both of its ends, unless a miner chose one. The hinges
/// are not squared, unlike in [`Contrastive`](crate::Contrastive).
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. `terms` counts the B (B - 1) ordered pairs. A part without a pair
/// is 0.
///
/// # Units
/// Distance. Embeddings are normalized here.
///
/// # Gradient
/// 0 if every pair is satisfied (`active` is 0 then), and between equal rows, which have no direction.
///
/// # Numerics
/// In the embeddings' type, sums in f64; O(B^2) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) for a single row.
///
/// # Source
/// Hadsell et al., CVPR 2006; values as pytorch-metric-learning's `ContrastiveLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, PairwiseContrastive, Reducer};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 2])?;
/// // The positive pair at sqrt 2; negatives at 2, which is enough, and sqrt 2.
/// let loss = PairwiseContrastive::new(1., 1.5, Reducer::MeanOfNonZero)?.forward(&Batch::new(&x, &labels)?)?;
/// assert!((loss.to_f64()? - 0.5).abs() < 1e-15); // (sqrt 2 - 1) + (1.5 - sqrt 2)
/// assert_eq!((loss.terms, loss.active), (6, 4));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PairwiseContrastive {
    positive: f64,
    negative: f64,
    reducer: Reducer,
}

impl PairwiseContrastive {
    /// With margins m+ >= 0 of pairs of one class and m- >= 0 of pairs of two.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a margin is negative or not finite.
    pub fn new(positive: f64, negative: f64, reducer: Reducer) -> Result<Self> {
        let positive = from_zero("the margin of pairs of one class", positive)?;
        Ok(Self { positive, negative: from_zero("the margin of pairs of two classes", negative)?, reducer })
    }
}

npair_types::settings! {
    /// Contrastive loss over all pairs of the batch, with two margins, of unit embeddings. The usual values are
    /// pytorch-metric-learning's.
    pub struct PairwiseContrastiveSettings {
        /// Margin m+ of pairs of one class, from 0.
        positive: f64 = 0.0,
        /// Margin m- of pairs of two classes, from 0.
        negative: f64 = 1.0,
        /// How terms become one number.
        reducer: Reducer = Reducer::MeanOfNonZero,
    }
}

impl Default for PairwiseContrastive {
    /// With the usual [`PairwiseContrastiveSettings`].
    fn default() -> Self {
        let PairwiseContrastiveSettings { positive, negative, reducer } = Default::default();
        Self { positive, negative, reducer }
    }
}

impl LossSettings for PairwiseContrastiveSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(PairwiseContrastive::new(self.positive, self.negative, self.reducer)?))
    }
}

impl MatrixLoss for PairwiseContrastive {
    const NAME: &'static str = "pairwise contrastive loss";
    const ENTRY: Entry = Entry::Distance;
    const NEEDS: Needs = Needs::Either;

    fn matrix<T: Element>(&self, matrix: RowMatrix<T>, relations: &Relations, batch: &Batch) -> Result<LossValue> {
        let hinges = Hinges::new(self.positive, self.negative, self.reducer);
        let rows = matrix.map(|i, distances| hinges.terms(relations.row(i, distances)));
        let parts = [0, 1].map(|part| rows.iter().map(|row| row[part]).collect::<Vec<RowTerms>>());
        let [near, far] = parts.each_ref().map(|terms| self.reducer.reduce(terms, batch.labels()));
        let (gradients, _) = matrix.map_to_gradient(|i, distances, gradient| {
            hinges.gradient(relations.row(i, distances), gradient, [near.1[i], -far.1[i]]);
        });
        let RowTerms { terms, active, .. } = RowTerms::total(&parts.concat());
        Ok(LossValue::new(gradients.attach(batch.embeddings(), near.0 + far.0, 1.)?, terms, active))
    }
}

impl Loss for PairwiseContrastive {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_matrix(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        Self::NAME
    }
}

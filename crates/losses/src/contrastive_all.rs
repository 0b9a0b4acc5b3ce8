use crate::gallery::gallery_loss_of_element;
use crate::hinges::Hinges;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::reducer::Tally;
use crate::setting::from_zero;
use crate::{Gallery, LossValue, Reducer, Result};
use npair_similarity::Element;

/// Contrastive loss over all pairs of a batch, on distances of rows of length 1, with a margin on either side.
///
/// ```text
/// L = R over pairs of one class of   max(0, |x_a - x_b| - m+)
///   + R over pairs of two classes of max(0, m- - |x_a - x_b|)
/// ```
/// R is the [`Reducer`], for each part on its own; every pair is taken from both of its ends. The hinges are not squared, unlike in
/// [`Contrastive`](crate::Contrastive).
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. `terms` counts the B (B - 1) ordered pairs. A part without a pair
/// is 0.
///
/// # Units
/// Distance. Embeddings are normalised here.
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
/// # use npair_losses::{ContrastiveAll, Loss, Reducer};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 2])?;
/// // The positive pair at sqrt 2; negatives at 2, which is enough, and sqrt 2.
/// let loss = ContrastiveAll::new(1., 1.5, Reducer::MeanOfNonZero)?.forward(&x, &labels)?;
/// assert!((loss.to_f64()? - 0.5).abs() < 1e-15); // (sqrt 2 - 1) + (1.5 - sqrt 2)
/// assert_eq!((loss.terms, loss.active), (6, 4));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ContrastiveAll {
    positive: f64,
    negative: f64,
    reducer: Reducer,
}

impl ContrastiveAll {
    /// With margins m+ >= 0 of pairs of one class and m- >= 0 of pairs of two.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a margin is negative or not finite.
    pub fn new(positive: f64, negative: f64, reducer: Reducer) -> Result<Self> {
        let positive = from_zero("the margin of pairs of one class", positive)?;
        Ok(Self { positive, negative: from_zero("the margin of pairs of two classes", negative)?, reducer })
    }
}

impl Default for ContrastiveAll {
    /// m+ = 0, m- = 1, mean of non-zero: pytorch-metric-learning's.
    fn default() -> Self {
        Self { positive: 0., negative: 1., reducer: Reducer::MeanOfNonZero }
    }
}

impl ContrastiveAll {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.expect_two("contrastive loss")?;
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Distance)?;
        let hinges = Hinges::new(self.positive, self.negative, self.reducer);
        let rows = matrix.map(|i, distances| hinges.tallies(classes.of(i), i, distances));
        let parts = [0, 1].map(|part| rows.iter().map(|row| row[part]).collect::<Vec<Tally>>());
        let [near, far] = parts.each_ref().map(|tallies| self.reducer.reduce(tallies, gallery.labels()));
        let (slopes, _) = matrix.turn(|i, distances, slope| {
            hinges.slopes(classes.of(i), i, distances, slope, [near.1[i], -far.1[i]]);
        });
        let Tally { terms, active, .. } = Tally::total(&parts.concat());
        Ok(LossValue { value: slopes.attach(gallery.queries(), near.0 + far.0, 1.)?, terms, active })
    }
}

gallery_loss_of_element!(ContrastiveAll);

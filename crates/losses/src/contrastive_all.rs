use crate::loss::loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::rows::expect_matrix;
use crate::setting::from_zero;
use crate::{Error, LossValue, Reducer, Result};
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::Labels;

/// Contrastive loss over all pairs of a batch, on distances of rows of length 1, with a margin on either side.
///
/// ```text
/// L = R over pairs of one class of   max(0, |x_a - x_b| - m+)
///   + R over pairs of two classes of max(0, m- - |x_a - x_b|)
/// ```
/// R is the mean of the terms above 0, or of all, for each part on its own. The hinges are not squared, unlike in
/// [`Contrastive`](crate::Contrastive).
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. `terms` counts the B (B - 1) / 2 pairs. A part without a pair
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
/// [`Error::TooFew`] for a single row.
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
/// assert_eq!((loss.terms, loss.active), (3, 2));
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
    /// [`Error::Setting`] if a margin is negative or not finite.
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
    fn of<T: Element>(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let (b, _) = expect_matrix("embeddings", embeddings)?;
        labels.expect_len(b)?;
        if b < 2 {
            return Err(Error::TooFew { loss: "contrastive loss", what: "examples", least: 2, got: b });
        }
        let matrix = PairMatrix::<T>::new(embeddings, Entry::Distance)?;
        let (positive, negative) = (T::narrow(self.positive), T::narrow(self.negative));
        let over = |same: bool, distance: T| if same { distance - positive } else { negative - distance };
        // Of pairs of one class and of two: sum, number of terms, number of those above 0. A pair stands in the row of its
        // first example.
        let rows = matrix.map(|i, distances| {
            let mut parts = [(0., 0, 0); 2];
            for j in i + 1..b {
                let same = labels.same(i, j);
                let (sum, terms, active) = &mut parts[usize::from(!same)];
                let above = over(same, distances[j]);
                *terms += 1;
                if above > T::ZERO {
                    *sum += above.wide();
                    *active += 1;
                }
            }
            parts
        });
        let parts = [0, 1]
            .map(|kind| rows.iter().map(|row| row[kind]).fold((0., 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2)));
        let [near, far] = parts.map(|(_, terms, active)| self.reducer.factor(terms, active));
        let (by_near, by_far) = (T::narrow(near), T::narrow(-far));
        let (slopes, _) = matrix.turn(|i, distances, slope| {
            for j in i + 1..b {
                let same = labels.same(i, j);
                if over(same, distances[j]) > T::ZERO {
                    slope[j] = if same { by_near } else { by_far };
                }
            }
        });
        let value = parts[0].0 * near + parts[1].0 * far;
        let [terms, active] = [parts[0].1 + parts[1].1, parts[0].2 + parts[1].2];
        Ok(LossValue { value: slopes.attach(embeddings, value, 1.)?, terms, active })
    }
}

loss_of_element!(ContrastiveAll);

use crate::pair_matrix::{Entry, PairMatrix};
use crate::positives::with_both;
use crate::setting::from_zero;
use crate::{Loss, LossValue, Reducer, Result};
use candle_core::Tensor;
use npair_types::Labels;

/// Triplet loss with a margin over all triplets of a batch, on distances of rows of length 1.
///
/// ```text
/// L = R over (a, p, n) of  max(0, |x_a - x_p| - |x_a - x_n| + m)
/// y_a = y_p, a != p, y_n != y_a;  R the mean of the terms above 0, or of all
/// ```
/// The distances are not squared, unlike in [`TripletMargin`](crate::TripletMargin).
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` counts all triplets, `active` those above 0.
///
/// # Units
/// Distance. Embeddings are normalised here.
///
/// # Gradient
/// 0 if every triplet is satisfied (`active` is 0 then), and between equal rows, which have no direction.
///
/// # Numerics
/// In f64. A triplet is never formed: with an anchor's distances sorted, sums and slopes follow from counts, so that a
/// batch takes O(B^2 log B) time and O(B^2) memory for its O(B^3) triplets.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if there is no triplet.
///
/// # Source
/// Schroff et al., CVPR 2015; values as pytorch-metric-learning's `TripletMarginLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, Reducer, TripletMarginAll};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 2])?;
/// // Anchor 0: sqrt 2 - 2 + 0.1 < 0. Anchor 1: sqrt 2 - sqrt 2 + 0.1.
/// let loss = TripletMarginAll::new(0.1, Reducer::MeanOfNonZero)?.forward(&x, &labels)?;
/// assert!((loss.to_f64()? - 0.1).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (2, 1));
/// let loss = TripletMarginAll::new(0.1, Reducer::Mean)?.forward(&x, &labels)?;
/// assert!((loss.to_f64()? - 0.05).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TripletMarginAll {
    margin: f64,
    reducer: Reducer,
}

impl TripletMarginAll {
    /// With margin m >= 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the margin is negative or not finite.
    pub fn new(margin: f64, reducer: Reducer) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)?, reducer })
    }
}

impl Default for TripletMarginAll {
    /// m = 0.05, mean of non-zero: pytorch-metric-learning's.
    fn default() -> Self {
        Self { margin: 0.05, reducer: Reducer::MeanOfNonZero }
    }
}

impl Loss for TripletMarginAll {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let anchors = with_both("triplet margin loss over all triplets", embeddings, labels)?;
        let matrix = PairMatrix::new(embeddings, Entry::Distance)?;
        let mut slopes = matrix.slopes();
        let (mut sum, mut terms, mut active) = (0., 0, 0);
        for &a in &anchors {
            let (distances, slope) = (matrix.row(a), slopes.row(a));
            let mut negatives: Vec<usize> = (0..labels.len()).filter(|&n| !labels.same(a, n)).collect();
            negatives.sort_by(|&i, &j| distances[i].total_cmp(&distances[j]));
            // Sums of the nearest 0, 1, 2, ... negatives, and how many positives reach exactly that far.
            let mut sums = vec![0.];
            negatives.iter().for_each(|&n| sums.push(sums[sums.len() - 1] + distances[n]));
            let mut reaches = vec![0usize; negatives.len() + 1];
            for p in (0..labels.len()).filter(|&p| p != a && labels.same(a, p)) {
                let limit = distances[p] + self.margin;
                let within = negatives.partition_point(|&n| distances[n] < limit);
                terms += negatives.len();
                active += within;
                sum += within as f64 * limit - sums[within];
                slope[p] += within as f64;
                reaches[within] += 1;
            }
            let mut beyond = 0;
            for (at, &n) in negatives.iter().enumerate().rev() {
                beyond += reaches[at + 1];
                slope[n] -= beyond as f64;
            }
        }
        let factor = self.reducer.factor(terms, active);
        Ok(LossValue { value: matrix.attach(sum * factor, factor, slopes)?, terms, active })
    }
}

use crate::gallery::loss_of_gallery;
use crate::gallery_matrix::GalleryMatrix;
use crate::pair_matrix::Entry;
use crate::reducer::Tally;
use crate::setting::from_zero;
use crate::{Gallery, GalleryLoss, LossValue, Reducer, Result};

/// Triplet loss with a margin over all triplets of a batch, on distances of rows of length 1.
///
/// ```text
/// L = R over (a, p, n) of  max(0, |x_a - x_p| - |x_a - x_n| + m)
/// y_a = y_p, a != p, y_n != y_a;  R the reducer
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

impl GalleryLoss for TripletMarginAll {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let anchors = gallery.with_both("triplet margin loss over all triplets")?;
        let matrix = GalleryMatrix::new(gallery, Entry::Distance)?;
        let (low, high) = self.reducer.limits();
        let mut slopes = matrix.slopes();
        let mut tallies = vec![Tally::default(); gallery.of_queries().len()];
        for &a in &anchors {
            let (distances, slope, tally) = (matrix.row(a), slopes.row(a), &mut tallies[a]);
            let mut negatives: Vec<usize> = gallery.negatives(a).collect();
            negatives.sort_by(|&i, &j| distances[i].total_cmp(&distances[j]));
            // Sums of the nearest 0, 1, 2, ... negatives, and by how much fewer or more positives keep each than the one
            // before it.
            let mut sums = vec![0.];
            negatives.iter().for_each(|&n| sums.push(sums[sums.len() - 1] + distances[n]));
            let mut steps = vec![0.; negatives.len() + 1];
            for p in gallery.positives(a) {
                let limit = distances[p] + self.margin;
                let from = negatives.partition_point(|&n| distances[n] <= limit - high);
                let to = negatives.partition_point(|&n| distances[n] < limit - low).max(from);
                let kept = to - from;
                tally.terms += negatives.len();
                tally.active += kept;
                tally.sum += kept as f64 * limit - (sums[to] - sums[from]);
                slope[p] += kept as f64;
                steps[from] += 1.;
                steps[to] -= 1.;
            }
            let mut keepers = 0.;
            for (&n, step) in negatives.iter().zip(steps) {
                keepers += step;
                slope[n] -= keepers;
            }
        }
        let (value, factors) = self.reducer.reduce(&tallies, gallery.labels());
        slopes.scale(&factors);
        let all = Tally::total(&tallies);
        Ok(LossValue { value: matrix.attach(value, 1., slopes)?, terms: all.terms, active: all.active })
    }
}

loss_of_gallery!(TripletMarginAll);

use crate::gallery::gallery_loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::positives::gaps;
use crate::reducer::Tally;
use crate::setting::from_zero;
use crate::{Gallery, LossValue, Reducer, Result};
use npair_similarity::Element;

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
/// In the embeddings' type, sums in f64. A triplet is never formed: with an anchor's distances sorted, sums and slopes follow from counts, so that a
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

impl TripletMarginAll {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.with_both("triplet margin loss over all triplets")?;
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Distance)?;
        let (slopes, tallies) = matrix.turn(|a, distances, slope| self.row(classes.of(a), a, distances, slope));
        let (value, factors) = self.reducer.reduce(&tallies, gallery.labels());
        let Tally { terms, active, .. } = Tally::total(&tallies);
        Ok(LossValue { value: slopes.attach_by_row(gallery.queries(), value, &factors)?, terms, active })
    }

    /// The triplets of anchor `a` of class `own`.
    fn row<T: Element>(&self, own: &[usize], a: usize, distances: &[T], slope: &mut [T]) -> Tally {
        let (low, high) = self.reducer.limits();
        let limit = |p: usize| distances[p].wide() + self.margin;
        let positives = || own.iter().copied().filter(|&p| p != a);
        // No triplet needs a negative beyond all limits.
        let farthest = positives().map(limit).fold(f64::NEG_INFINITY, f64::max);
        let others = gaps(own, distances.len()).flatten().map(|n| (distances[n], n));
        let mut negatives: Vec<(T, usize)> = others.filter(|(d, _)| d.wide() < farthest - low).collect();
        negatives.sort_unstable_by(|i, j| i.0.wide().total_cmp(&j.0.wide()).then(i.1.cmp(&j.1)));
        // Sums of the nearest 0, 1, 2, ... negatives, and by how many more or fewer positives each is kept than the one before
        // it.
        let mut sums = Vec::with_capacity(negatives.len() + 1);
        sums.push(0.);
        negatives.iter().for_each(|(d, _)| sums.push(sums[sums.len() - 1] + d.wide()));
        let mut steps = vec![0f64; negatives.len() + 1];
        let terms = (own.len() - 1) * (distances.len() - own.len());
        let mut tally = Tally { terms, ..Tally::default() };
        for p in positives() {
            let from = negatives.partition_point(|(d, _)| d.wide() <= limit(p) - high);
            let to = negatives.partition_point(|(d, _)| d.wide() < limit(p) - low).max(from);
            let kept = to - from;
            tally.active += kept;
            tally.sum += kept as f64 * limit(p) - (sums[to] - sums[from]);
            slope[p] = T::narrow(kept as f64);
            steps[from] += 1.;
            steps[to] -= 1.;
        }
        let mut keepers = 0.;
        for (&(_, n), step) in negatives.iter().zip(steps) {
            keepers += step;
            slope[n] = T::narrow(-keepers);
        }
        tally
    }
}

gallery_loss_of_element!(TripletMarginAll);

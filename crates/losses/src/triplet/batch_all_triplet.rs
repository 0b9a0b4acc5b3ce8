use crate::setting::from_zero;
use crate::{Entry, Loss, LossContext, LossSettings, Reducer, Result, Row, RowLoss, RowTerms};
use npair_similarity::Element;

/// Batch-all triplet loss: a margin over all triplets of a batch, on distances of rows of length 1.
///
/// ```text
/// L = R over (a, p, n) of  max(0, |x_a - x_p| - |x_a - x_n| + m)
/// y_a = y_p, a != p, y_n != y_a, or those that a miner chose;  R the reducer
/// ```
/// The distances are not squared, unlike in [`TripletMargin`](crate::TripletMargin).
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` counts all triplets, `active` those above 0.
///
/// # Units
/// Distance. Embeddings are normalized here.
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
/// # use npair_losses::{Batch, BatchAllTriplet, Loss, Reducer};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 2])?;
/// // Anchor 0: sqrt 2 - 2 + 0.1 < 0. Anchor 1: sqrt 2 - sqrt 2 + 0.1.
/// let loss = BatchAllTriplet::new(0.1, Reducer::MeanOfNonZero)?.forward(&Batch::new(&x, &labels)?)?;
/// assert!((loss.to_f64()? - 0.1).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (2, 1));
/// let loss = BatchAllTriplet::new(0.1, Reducer::Mean)?.forward(&Batch::new(&x, &labels)?)?;
/// assert!((loss.to_f64()? - 0.05).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BatchAllTriplet {
    margin: f64,
    reducer: Reducer,
}

impl BatchAllTriplet {
    /// With margin m >= 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the margin is negative or not finite.
    pub fn new(margin: f64, reducer: Reducer) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)?, reducer })
    }
}

npair_types::settings! {
    /// Triplet loss with a margin over all triplets of the batch. The usual values are pytorch-metric-learning's.
    pub struct BatchAllTripletSettings {
        /// Margin m of distances, from 0.
        margin: f64 = 0.05,
        /// How terms become one number.
        reducer: Reducer = Reducer::MeanOfNonZero,
    }
}

impl Default for BatchAllTriplet {
    /// With the usual [`BatchAllTripletSettings`].
    fn default() -> Self {
        let BatchAllTripletSettings { margin, reducer } = Default::default();
        Self { margin, reducer }
    }
}

impl LossSettings for BatchAllTripletSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(BatchAllTriplet::new(self.margin, self.reducer)?))
    }
}

impl BatchAllTriplet {
    /// The triplets that a miner chose with this row as anchor.
    fn chosen<T: Element>(&self, triplets: &[[usize; 2]], distances: &[T], gradient: &mut [T]) -> RowTerms {
        let mut terms = RowTerms { terms: triplets.len(), ..RowTerms::default() };
        let mut counts = vec![0i64; gradient.len()];
        for &[p, n] in triplets {
            let term = distances[p].wide() - distances[n].wide() + self.margin;
            if self.reducer.keeps(term) {
                terms.sum += term;
                terms.active += 1;
                counts[p] += 1;
                counts[n] -= 1;
            }
        }
        gradient.iter_mut().zip(counts).for_each(|(by, count)| *by = T::narrow(count as f64));
        terms
    }
}

impl RowLoss for BatchAllTriplet {
    const NAME: &'static str = "batch-all triplet loss";
    const ENTRY: Entry = Entry::Distance;

    fn reducer(&self) -> Reducer {
        self.reducer
    }

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let distances = row.entries();
        if let Some(triplets) = row.chosen_triplets() {
            return self.chosen(triplets, distances, gradient);
        }
        let (low, high) = self.reducer.limits();
        let limit = |p: usize| distances[p].wide() + self.margin;
        // No triplet needs a negative beyond all limits.
        let farthest = row.positives().map(limit).fold(f64::NEG_INFINITY, f64::max);
        let others = row.negatives().map(|n| (distances[n], n));
        let mut negatives: Vec<(T, usize)> = others.filter(|(d, _)| d.wide() < farthest - low).collect();
        negatives.sort_unstable_by(|i, j| i.0.wide().total_cmp(&j.0.wide()).then(i.1.cmp(&j.1)));
        // Sums of the nearest 0, 1, 2, ... negatives, and by how many more or fewer positives each is kept than the one before
        // it.
        let mut sums = Vec::with_capacity(negatives.len() + 1);
        sums.push(0.);
        negatives.iter().for_each(|(d, _)| sums.push(sums[sums.len() - 1] + d.wide()));
        let mut steps = vec![0f64; negatives.len() + 1];
        let mut terms = RowTerms { terms: row.num_positives() * row.num_negatives(), ..RowTerms::default() };
        for p in row.positives() {
            let from = negatives.partition_point(|(d, _)| d.wide() <= limit(p) - high);
            let to = negatives.partition_point(|(d, _)| d.wide() < limit(p) - low).max(from);
            let kept = to - from;
            terms.active += kept;
            terms.sum += kept as f64 * limit(p) - (sums[to] - sums[from]);
            gradient[p] = T::narrow(kept as f64);
            steps[from] += 1.;
            steps[to] -= 1.;
        }
        let mut keepers = 0.;
        for (&(_, n), step) in negatives.iter().zip(steps) {
            keepers += step;
            gradient[n] = T::narrow(-keepers);
        }
        terms
    }
}

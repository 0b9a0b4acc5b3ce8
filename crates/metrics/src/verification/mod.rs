//! Verification: whether two examples are of one class, by a threshold on their similarity that is chosen for a false accept rate.

mod calibration;
mod logistic;
mod monotone;
mod threshold;
mod verifier;

pub use calibration::Calibration;
pub use threshold::Threshold;
pub use verifier::{Decision, Verifier};

use crate::roc::scored_pairs;
use crate::{Embeddings, Error, Result, Roc};
use npair_types::{ChaCha8Rng, ClassIndex, Measure};

/// Pairs of examples with their similarity, and the classes that they are of: what a verifier meets.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, VerificationPairs};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let set = Embeddings::new(&[0f64, 0.1, 5., 5.1], 1, Labels::new([1, 1, 2, 2])?)?;
/// let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
/// let pairs = VerificationPairs::of(&set, Measure::SquaredEuclidean, 1000, &mut rng)?;
/// let threshold = pairs.threshold_at(0.)?;
/// // Both pairs of one class are nearer than any other.
/// assert_eq!((threshold.far, threshold.tar), (0., 1.));
/// assert_eq!(pairs.rates_at(threshold.threshold).accuracy, 1.);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VerificationPairs {
    /// Similarity of pairs of one class, and the class; from the most similar down.
    same: Vec<(f64, usize)>,
    /// The same of pairs of two.
    other: Vec<(f64, [usize; 2])>,
    /// Examples of every class.
    sizes: Vec<usize>,
}

/// What a verifier does at a threshold; "same" is said from it on.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Rates {
    /// False accept rate (FAR, false match rate): part of the pairs of two classes that are called the same.
    pub far: f64,
    /// False reject rate (FRR, false non-match rate): part of the pairs of one class that are not.
    pub frr: f64,
    /// Part of the pairs that are judged rightly, were there as many of one kind as of the other.
    pub accuracy: f64,
}

impl VerificationPairs {
    /// All pairs of a set, or `most` pairs drawn at random (with replacement, half of them of one class) if there are more.
    ///
    /// # Numerics
    /// Cosines that differ by no more than rounding are one score, as for [`Roc::of_pairs`].
    ///
    /// # Errors
    /// [`Error::OneKindOfPair`] if all pairs, or none, are of one class.
    pub fn of(set: &Embeddings, measure: Measure, most: usize, rng: &mut ChaCha8Rng) -> Result<Self> {
        let index = ClassIndex::from_labels(set.labels());
        let (pairs, scores) = scored_pairs(set, measure, most, rng)?;
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            return Err(Error::NotFinite { at });
        }
        let place = |row: usize| index.classes().binary_search(&set.labels().get(row)).unwrap_or(0);
        let (mut same, mut other) = (Vec::new(), Vec::new());
        for (&(i, j), score) in pairs.iter().zip(scores) {
            match (place(i), place(j)) {
                (a, b) if a == b => same.push((score, a)),
                (a, b) => other.push((score, [a, b])),
            }
        }
        if same.is_empty() || other.is_empty() {
            return Err(Error::OneKindOfPair { same: same.len(), other: other.len() });
        }
        same.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        other.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(Self { same, other, sizes: (0..index.len()).map(|at| index.examples(at).len()).collect() })
    }

    /// Number of pairs of one class, and of two.
    pub fn counts(&self) -> [usize; 2] {
        [self.same.len(), self.other.len()]
    }

    /// False accept and false reject rate at a threshold.
    pub fn rates_at(&self, threshold: f64) -> Rates {
        let far = self.accepted(threshold) as f64 / self.other.len() as f64;
        let tar = self.same.partition_point(|&(score, _)| score >= threshold) as f64 / self.same.len() as f64;
        Rates { far, frr: 1. - tar, accuracy: (1. - far + tar) / 2. }
    }

    /// Their ROC.
    ///
    /// # Errors
    /// Those of [`Roc::new`].
    pub fn roc(&self) -> Result<Roc> {
        let scores: Vec<f64> = self.scores().map(|(score, _)| score).collect();
        let same: Vec<bool> = self.scores().map(|(_, same)| same).collect();
        Roc::new(&scores, &same)
    }

    /// Similarity of every pair, and whether it is one of one class.
    pub fn scores(&self) -> impl Iterator<Item = (f64, bool)> {
        self.same.iter().map(|pair| (pair.0, true)).chain(self.other.iter().map(|pair| (pair.0, false)))
    }

    /// Pairs of two classes that are called the same.
    fn accepted(&self, threshold: f64) -> usize {
        self.other.partition_point(|&(score, _)| score >= threshold)
    }
}

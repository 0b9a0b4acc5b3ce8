use super::{Calibration, Rates, Threshold, VerificationPairs};
use crate::{Error, Result};
use npair_types::Measure;
use serde::{Deserialize, Serialize};

/// What tells whether two examples are of one class: thresholds on their similarity by false accept rate, and how likely a match is.
/// It is learned from pairs of classes that the model was not trained on, and kept with the model.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, VerificationPairs, Verifier};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let set = Embeddings::new(&[0f64, 0.1, 5., 5.1], 1, Labels::new([1, 1, 2, 2])?)?;
/// let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
/// let pairs = VerificationPairs::of(&set, Measure::SquaredEuclidean, 1000, &mut rng)?;
/// let verifier = Verifier::learn(Measure::SquaredEuclidean, &pairs, &[0.01])?;
/// assert!(verifier.decide(-0.01, 0.01)?.matches && !verifier.decide(-25., 0.01)?.matches);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// What embeddings are compared by.
    pub measure: Measure,
    /// Thresholds, by rising false accept rate.
    pub thresholds: Vec<Threshold>,
    /// From similarity to the probability of a match; none where there were too few pairs.
    pub calibration: Option<Calibration>,
}

/// What is said of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decision {
    /// Whether the two are taken for one class.
    pub matches: bool,
    /// The threshold that decided.
    pub threshold: f64,
    /// The probability that they are of one class, were matches as frequent as not.
    pub probability: Option<f64>,
}

impl Verifier {
    /// False accept rates whose thresholds are learned unless others are asked for.
    pub const RATES: [f64; 3] = [0.001, 0.01, 0.1];
    /// The one that decides unless another is asked for: one wrong pair in a thousand.
    pub const USUAL: f64 = 0.001;

    /// From pairs compared by `measure`; the thresholds come in the order of their rates, each rate once.
    ///
    /// # Errors
    /// [`Error::Rate`] for a rate outside of [0, 1].
    pub fn learn(measure: Measure, pairs: &VerificationPairs, rates: &[f64]) -> Result<Self> {
        let mut rates = rates.to_vec();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let thresholds = rates.iter().map(|&far| pairs.threshold_at(far)).collect::<Result<_>>()?;
        Ok(Self { measure, thresholds, calibration: pairs.calibration() })
    }

    /// The threshold for a false accept rate: that of the largest one learned that is not above it.
    ///
    /// # Errors
    /// [`Error::NoThreshold`] if all that were learned are for higher rates.
    pub fn threshold(&self, far: f64) -> Result<&Threshold> {
        let below = self.thresholds.iter().rev().find(|threshold| threshold.far <= far * (1. + 1e-9));
        below.ok_or_else(|| {
            let known: Vec<String> = self.thresholds.iter().map(|threshold| threshold.far.to_string()).collect();
            Error::NoThreshold { far, known: known.join(", ") }
        })
    }

    /// Whether a pair of this similarity is taken for one class at a false accept rate.
    ///
    /// # Errors
    /// [`Error::NoThreshold`]; [`Error::NotFinite`] for a similarity that is NaN.
    pub fn decide(&self, similarity: f64, far: f64) -> Result<Decision> {
        if similarity.is_nan() {
            return Err(Error::NotFinite { at: 0 });
        }
        let threshold = self.threshold(far)?.threshold;
        let probability = self.calibration.as_ref().map(|curve| curve.probability(similarity));
        Ok(Decision { matches: similarity >= threshold, threshold, probability })
    }

    /// What its thresholds do on other pairs, in their order.
    pub fn rates_on(&self, pairs: &VerificationPairs) -> Vec<Rates> {
        self.thresholds.iter().map(|threshold| pairs.rates_at(threshold.threshold)).collect()
    }

    /// What is wrong with one that was read from a file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> std::result::Result<(), String> {
        let rate = |value: f64| (0. ..=1.).contains(&value);
        for (at, t) in self.thresholds.iter().enumerate() {
            let finite = [t.threshold, t.interval.low, t.interval.high].iter().all(|value| value.is_finite());
            if !(finite && rate(t.far) && rate(t.tar) && t.interval.low <= t.interval.high) {
                return Err(format!("threshold {at} is not finite, or has rates outside of 0 to 1"));
            }
        }
        if !self.thresholds.is_sorted_by(|a, b| a.far < b.far) {
            return Err("thresholds do not rise by their rate, each rate once".to_owned());
        }
        let finite = match &self.calibration {
            None => true,
            Some(Calibration::Logistic { slope, offset }) => slope.is_finite() && offset.is_finite(),
            Some(Calibration::Isotonic { points }) => {
                points.iter().all(|point| point.0.is_finite() && rate(point.1))
                    && points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
            }
        };
        if finite { Ok(()) } else { Err("the calibration is not finite, or falls".to_owned()) }
    }
}

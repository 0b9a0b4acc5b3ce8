use super::{VerificationPairs, logistic, monotone};
use serde::{Deserialize, Serialize};

/// Parts that classes are dealt into, to compare the curves on pairs that they were not fitted to.
const FOLDS: usize = 5;
/// Pairs of either kind that a curve needs.
const LEAST: usize = 20;

/// How likely two examples of a similarity are of one class, where as many pairs are of one class as are not: for another share q of
/// matches, `p q / (p q + (1 - p) (1 - q))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "curve")]
pub enum Calibration {
    /// `1 / (1 + exp(-(slope similarity + offset)))` (Platt, 1999).
    Logistic {
        /// Times the similarity.
        slope: f64,
        /// What is added to it.
        offset: f64,
    },
    /// Straight lines between points of rising similarity and probability (isotonic regression; Zadrozny and Elkan, KDD 2002).
    Isotonic {
        /// Similarity and probability.
        points: Vec<(f64, f64)>,
    },
}

impl Calibration {
    /// The probability that a pair of this similarity is of one class.
    ///
    /// ```
    /// # use npair_metrics::Calibration;
    /// let curve = Calibration::Logistic { slope: 2., offset: -1. };
    /// assert_eq!(curve.probability(0.5), 0.5);
    /// let curve = Calibration::Isotonic { points: vec![(0., 0.1), (1., 0.9)] };
    /// assert_eq!((curve.probability(0.5), curve.probability(-3.)), (0.5, 0.1));
    /// ```
    pub fn probability(&self, similarity: f64) -> f64 {
        match self {
            Self::Logistic { slope, offset } => logistic::curve(slope * similarity + offset),
            Self::Isotonic { points } => monotone::height(points, similarity),
        }
    }

    /// Mean logarithmic loss, in nats, each kind of pair weighing half.
    fn loss(&self, pairs: &[(f64, bool)]) -> f64 {
        let (mut sums, mut counts) = ([0.; 2], [0.; 2]);
        for &(score, same) in pairs {
            let p = self.probability(score).clamp(1e-12, 1. - 1e-12);
            sums[usize::from(same)] -= if same { p.ln() } else { (1. - p).ln() };
            counts[usize::from(same)] += 1.;
        }
        (sums[0] / counts[0] + sums[1] / counts[1]) / 2.
    }
}

impl VerificationPairs {
    /// The curve from similarity to probability: logistic or isotonic, whichever has the lower logarithmic loss on pairs of classes
    /// that it was not fitted to (five folds of classes); logistic where it is even, or there are too few classes to tell. None for
    /// fewer than 20 pairs of either kind.
    pub fn calibration(&self) -> Option<Calibration> {
        let all: Vec<(f64, bool)> = self.scores().collect();
        if !enough(&all) {
            return None;
        }
        let mut losses = [0.; 2];
        for fold in 0..FOLDS {
            let (seen, unseen) = (self.part(fold, false), self.part(fold, true));
            if !enough(&seen) || !unseen.iter().any(|pair| pair.1) || unseen.iter().all(|pair| pair.1) {
                losses = [0.; 2];
                break;
            }
            losses[0] += logistic_of(&seen).loss(&unseen);
            losses[1] += isotonic_of(&seen).loss(&unseen);
        }
        Some(if losses[1] < losses[0] { isotonic_of(&all) } else { logistic_of(&all) })
    }

    /// Pairs all of whose classes are of a fold, or none of them.
    fn part(&self, fold: usize, inside: bool) -> Vec<(f64, bool)> {
        let is = |class: usize| (class % FOLDS == fold) == inside;
        let same = self.same.iter().filter(|pair| is(pair.1)).map(|pair| (pair.0, true));
        let other = self.other.iter().filter(|(_, [a, b])| is(*a) && is(*b)).map(|pair| (pair.0, false));
        same.chain(other).collect()
    }
}

fn enough(pairs: &[(f64, bool)]) -> bool {
    let same = pairs.iter().filter(|pair| pair.1).count();
    same >= LEAST && pairs.len() - same >= LEAST
}

fn logistic_of(pairs: &[(f64, bool)]) -> Calibration {
    let (slope, offset) = logistic::fit(pairs);
    Calibration::Logistic { slope, offset }
}

fn isotonic_of(pairs: &[(f64, bool)]) -> Calibration {
    Calibration::Isotonic { points: monotone::fit(pairs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{ChaCha8Rng, Purpose, Streams};
    use rand::Rng;

    /// Pairs of 40 classes whose probability of a match is known.
    fn drawn(probability: impl Fn(f64) -> f64) -> VerificationPairs {
        let mut rng: ChaCha8Rng = Streams::new(3).open(Purpose::Evaluation, [0, 0]);
        let (mut same, mut other) = (Vec::new(), Vec::new());
        for _ in 0..40_000 {
            let score = rng.random::<f64>() * 2. - 1.;
            match rng.random::<f64>() < probability(score) {
                true => same.push((score, rng.random_range(0..40))),
                false => other.push((score, [rng.random_range(0..40), rng.random_range(0..40)])),
            }
        }
        same.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        other.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        VerificationPairs { same, other, sizes: vec![4; 40] }
    }

    #[test]
    fn a_logistic_curve_is_found_again() {
        let pairs = drawn(|score| logistic::curve(4. * score));
        let Some(found) = pairs.calibration() else { panic!("too few pairs") };
        // As many of each kind: some 200 pairs a hundredth of the scores, so errors of 0.5 / sqrt(200) there, fewer for a curve of two numbers.
        for at in -9..=9 {
            let score = f64::from(at) / 10.;
            let want = logistic::curve(4. * score);
            assert!((found.probability(score) - want).abs() < 0.02, "{found:?} at {score}");
        }
    }

    #[test]
    fn a_curve_with_a_step_is_isotonic() {
        let truth = |score: f64| if score < 0.3 { 0.2 } else { 0.8 };
        let pairs = drawn(truth);
        let Some(found @ Calibration::Isotonic { .. }) = pairs.calibration() else { panic!("not isotonic") };
        let share = pairs.same.len() as f64 / pairs.scores().count() as f64;
        // Both kinds weigh the same here.
        let want = |p: f64| p / share / (p / share + (1. - p) / (1. - share));
        for score in [-0.8, -0.3, 0.1, 0.5, 0.9] {
            assert!((found.probability(score) - want(truth(score))).abs() < 0.05, "{found:?} at {score}");
        }
    }

    #[test]
    fn a_threshold_that_tells_all_apart_has_a_finite_slope() {
        let pairs: Vec<(f64, bool)> = (0..50).map(|i| (f64::from(i), i >= 25)).collect();
        let (slope, offset) = logistic::fit(&pairs);
        assert!(slope.is_finite() && slope > 0., "{slope}");
        assert!((logistic::curve(slope * 24.5 + offset) - 0.5).abs() < 1e-6);
        // Where the likelihood is greatest, curve and targets (26 / 27 and 1 / 27) have the same sum, and the same sum by score.
        let off = |i: i32| logistic::curve(slope * f64::from(i) + offset) - if i >= 25 { 26. } else { 1. } / 27.;
        let (sum, by_score): (f64, f64) =
            (0..50).map(off).zip(0..50).fold((0., 0.), |(sum, by), (off, i)| (sum + off, by + off * f64::from(i)));
        assert!(sum.abs() < 1e-6 && by_score.abs() < 1e-4, "{sum}, {by_score}");
    }
}

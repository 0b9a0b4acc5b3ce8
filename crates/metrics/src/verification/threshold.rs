use super::VerificationPairs;
use crate::{Error, Interval, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Wrong pairs above a threshold that are needed to know its rate within about a third.
const ENOUGH: f64 = 10.;
/// Classes that are needed for an interval over them to mean something.
const CLASSES: usize = 20;

/// A threshold whose false accept rate is at most the one asked for, and hardly less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The false accept rate asked for.
    pub far: f64,
    /// "Same" is said of pairs at least as similar.
    pub threshold: f64,
    /// Where the threshold for that rate lies on all examples of such classes: a 95 % interval.
    pub interval: Interval,
    /// What the false accept rate of `threshold` is on all examples of such classes: a 95 % interval.
    pub far_interval: Interval,
    /// True accept rate at the threshold.
    pub tar: f64,
    /// Pairs of two classes that it was found on.
    pub pairs: usize,
    /// Why it is not well known, if it is not.
    pub warning: Option<String>,
}

impl VerificationPairs {
    /// The threshold for a false accept rate, with 95 % intervals that know that pairs which share a class are not independent.
    ///
    /// The variance of the rate is that of a mean over pairs of classes (a U-statistic): of what each class has a part in, less what
    /// counts twice in that because every pair is of two classes. The interval of the rate is symmetric in its logarithm; that of the
    /// threshold reaches to the thresholds of the rates at its ends.
    ///
    /// ```text
    /// I_a = (R_a - p T_a) / T     variance = sum_a I_a^2 - sum_{a < b} h_ab^2 / T^2
    /// h_ab: accepted pairs of classes a and b; R_a = sum_b h_ab; T_a, T: pairs of class a, of all; p = accepted / T
    /// ```
    ///
    /// # Errors
    /// [`Error::Rate`] for a rate outside of [0, 1].
    ///
    /// # Source
    /// Arvesen, Annals of Mathematical Statistics 40, 1969 (U-statistics by leaving out); Woodruff, JASA 47, 1952 (intervals of
    /// quantiles).
    pub fn threshold_at(&self, far: f64) -> Result<Threshold> {
        if !(0. ..=1.).contains(&far) {
            return Err(Error::Rate { what: "the false accept rate", got: far });
        }
        let threshold = self.score_at(far);
        let accepted = self.accepted(threshold);
        let (interval, far_interval) = match accepted {
            // Of no wrong pair among m the rate may still be 3 / m (Hanley and Lippman-Hand, 1983).
            0 => {
                let high = (3. / self.other.len() as f64).min(1.);
                (Interval { low: self.score_at(high), high: threshold }, Interval { low: 0., high })
            }
            _ => {
                let rate = accepted as f64 / self.other.len() as f64;
                let factor = (1.96 * self.relative_error(accepted)).exp();
                let ends = Interval { low: rate / factor, high: (rate * factor).min(1.) };
                let of = |wanted: f64| self.score_at(wanted.min(1.));
                (Interval { low: of(far * factor).min(threshold), high: of(far / factor).max(threshold) }, ends)
            }
        };
        let tar = 1. - self.rates_at(threshold).frr;
        let (pairs, warning) = (self.other.len(), self.warning(far));
        Ok(Threshold { far, threshold, interval, far_interval, tar, pairs, warning })
    }

    /// Why a threshold for this rate is not well known.
    fn warning(&self, far: f64) -> Option<String> {
        let (pairs, classes) = (self.other.len(), self.sizes.len());
        if far * (pairs as f64) < ENOUGH {
            return Some(format!(
                "{pairs} pairs of two classes are too few to know a false accept rate of {far}: {} or more are needed, or a rate of {:.2e} or more",
                (ENOUGH / far.max(1e-12)).ceil(),
                (ENOUGH / pairs as f64).min(1.)
            ));
        }
        (classes < CLASSES).then(|| format!("{classes} classes are few: the interval may be too narrow"))
    }

    /// Standard error of the rate of the first `accepted` pairs of two classes, as a part of it.
    fn relative_error(&self, accepted: usize) -> f64 {
        let total = self.other.len() as f64;
        let rate = accepted as f64 / total;
        let mut of_pairs = BTreeMap::<[usize; 2], f64>::new();
        for (_, [a, b]) in &self.other[..accepted] {
            *of_pairs.entry([*a.min(b), *a.max(b)]).or_default() += 1.;
        }
        let mut of_classes = vec![0.; self.sizes.len()];
        let mut twice = 0.;
        for ([a, b], count) in of_pairs {
            of_classes[a] += count;
            of_classes[b] += count;
            twice += count * count;
        }
        let examples: f64 = self.sizes.iter().map(|&size| size as f64).sum();
        let own = |size: f64| size * (examples - size);
        let scale = 2. * total / self.sizes.iter().map(|&size| own(size as f64)).sum::<f64>();
        let parts = of_classes.iter().zip(&self.sizes);
        let squares: f64 = parts.map(|(count, &size)| (count - rate * scale * own(size as f64)).powi(2)).sum();
        (squares - twice).max(twice).sqrt() / accepted as f64
    }

    /// Where at most `far` of the pairs of two classes are accepted: halfway between the last that may be and the first that may not,
    /// so that scores not seen here have room on either side.
    fn score_at(&self, far: f64) -> f64 {
        let most = far * self.other.len() as f64 * (1. + 1e-12);
        let (mut at, mut accepted) = (0, f64::INFINITY);
        while let Some(&(score, _)) = self.other.get(at) {
            // Equal scores are accepted together.
            at += self.other[at..].partition_point(|pair| pair.0 >= score);
            if at as f64 > most {
                return between(score, accepted);
            }
            accepted = score;
        }
        self.same.last().map_or(accepted, |pair| pair.0.min(accepted))
    }
}

/// A threshold that accepts `accepted` and not `refused`, which is lower.
fn between(refused: f64, accepted: f64) -> f64 {
    let middle = refused + (accepted - refused) / 2.;
    match (accepted.is_finite(), middle > refused) {
        (true, true) => middle,
        (true, false) => accepted,
        (false, _) => refused.next_up(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Embeddings;
    use npair_types::{ChaCha8Rng, Labels, Measure, Purpose, Streams};
    use rand::Rng;

    fn rng(at: u64) -> ChaCha8Rng {
        Streams::new(7).open(Purpose::Evaluation, [at, 0])
    }

    #[test]
    fn worked_by_hand() {
        // On a line: distances of two classes are 2, 4, 5, 7, 1, 3 (all pairs), of one 2 and 3.
        let set = Embeddings::new(&[0f64, 2., 4., 7.], 1, Labels::new([1, 1, 2, 2]).unwrap()).unwrap();
        let pairs = VerificationPairs::of(&set, Measure::SquaredEuclidean, 100, &mut rng(0)).unwrap();
        assert_eq!(pairs.counts(), [2, 4]);
        // Wrong pairs at -4, -16, -25, -49: a quarter of them may pass, halfway between the first two.
        let found = pairs.threshold_at(0.25).unwrap();
        assert_eq!((found.threshold, found.tar), (-10., 1.));
        let none = pairs.threshold_at(0.).unwrap();
        assert!(none.threshold > -4. && none.threshold < -3.99 && none.tar == 0.);
        assert_eq!(pairs.threshold_at(1.).unwrap().threshold, -49.);
        let rates = pairs.rates_at(-9.);
        assert_eq!((rates.far, rates.frr, rates.accuracy), (0.25, 0., 0.875));
        assert!(
            found
                .warning
                .unwrap()
                .starts_with("4 pairs of two classes are too few to know a false accept rate of 0.25: 40 or more")
        );
        assert!(pairs.threshold_at(1.5).is_err());
    }

    #[test]
    fn rates_are_those_of_the_roc() {
        let set = of_classes(1, 12);
        let pairs = VerificationPairs::of(&set, Measure::Cosine, 1_000_000, &mut rng(0)).unwrap();
        let roc = pairs.roc().unwrap();
        for far in [0., 0.001, 0.01, 0.1, 0.5] {
            let found = pairs.threshold_at(far).unwrap();
            let (here, lowest) = (pairs.rates_at(found.threshold).far, roc.threshold_at_far(far).min(f64::MAX));
            assert!(here <= far && here == pairs.rates_at(lowest).far);
            // The lowest threshold accepts as many pairs of one class, or more.
            assert!(found.tar <= roc.tar_at_far(far));
        }
    }

    /// Classes around centers of a normal distribution.
    fn of_classes(seed: u64, classes: usize) -> Embeddings {
        let (width, per_class) = (8, 4);
        let normal = |at: [u64; 2], n: usize| -> Vec<f64> {
            let mut rng = Streams::new(seed).open(Purpose::Evaluation, at);
            let uniform = |rng: &mut ChaCha8Rng| rng.random::<f64>().max(1e-300);
            (0..n)
                .map(|_| (-2. * uniform(&mut rng).ln()).sqrt() * (std::f64::consts::TAU * uniform(&mut rng)).cos())
                .collect()
        };
        let centers = normal([0, 1], classes * width);
        let noise = normal([0, 2], classes * per_class * width);
        let value = |i: usize| centers[i / width / per_class * width + i % width] + 0.5 * noise[i];
        let values: Vec<f64> = (0..classes * per_class * width).map(value).collect();
        let labels = Labels::new((0..classes * per_class).map(|i| (i / per_class) as u32)).unwrap();
        Embeddings::new(&values, width, labels).unwrap()
    }

    /// On 200 sets of 60 classes: the threshold whose rate on a large set of such classes is the one asked for lies in the interval of
    /// the threshold as often as it says, and the rate of the threshold that was found in that of the rate.
    #[test]
    fn intervals_hold_as_often_as_they_say() {
        let far = 0.01;
        let whole = VerificationPairs::of(&of_classes(1000, 700), Measure::Cosine, 100_000_000, &mut rng(0)).unwrap();
        let truth = whole.score_at(far);
        let (mut of_thresholds, mut of_rates) = (0, 0);
        for seed in 0..200 {
            let pairs = VerificationPairs::of(&of_classes(seed, 60), Measure::Cosine, 1_000_000, &mut rng(0)).unwrap();
            let found = pairs.threshold_at(far).unwrap();
            of_thresholds += usize::from(found.interval.low <= truth && truth <= found.interval.high);
            let rate = whole.rates_at(found.threshold).far;
            of_rates += usize::from(found.far_interval.low <= rate && rate <= found.far_interval.high);
            assert_eq!(found.warning, None);
        }
        // 190 of 200 are promised; the deviation of the count is 3, and three of them are allowed.
        assert!((181..=199).contains(&of_thresholds), "{of_thresholds} of 200 thresholds");
        assert!((181..=199).contains(&of_rates), "{of_rates} of 200 rates");
    }
}

use crate::{Error, Interval, Result};
use npair_types::{ChaCha8Rng, Labels};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The difference of two scores on the same queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedDifference {
    /// Mean of the first minus mean of the second.
    pub difference: f64,
    /// A 95 % interval.
    pub interval: Interval,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// How often chance alone would make a difference as large, of either sign (two-sided, by the bootstrap's tails).
    pub p: f64,
    /// Number of classes that were drawn from.
    pub classes: usize,
}

impl PairedDifference {
    /// How many times as many classes would be needed to see a difference of this size at the 5 % level in four of five trials:
    /// `((1.96 + 0.84) error / difference)^2`; infinite for no difference.
    pub fn times_as_many(&self) -> f64 {
        (2.8 * self.standard_error / self.difference).powi(2)
    }
}

/// The difference of two per-query scores by the paired bootstrap: whole classes are drawn with replacement, the same ones for both.
///
/// # Shapes
/// `first`, `second` and the queries' `labels`: Q.
///
/// # Errors
/// [`Error::Setting`] for fewer than 40 resamples, or other lengths; [`Error::NoPositive`] if there is no value.
///
/// # Source
/// Efron and Tibshirani, An introduction to the bootstrap, 1993, chapters 15 and 16; drawing clusters: Davison and Hinkley, 1997,
/// section 3.8.
///
/// # Examples
/// ```
/// # use npair_metrics::paired_difference;
/// # use npair_types::{Labels, Purpose, Streams};
/// let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
/// let labels = Labels::new((0..50u32).flat_map(|class| [class, class]))?;
/// let (first, second) = (vec![0.75; 100], vec![0.5; 100]);
/// let found = paired_difference(&first, &second, &labels, 1000, &mut rng)?;
/// assert!(found.difference == 0.25 && found.interval.low == 0.25 && found.p < 0.01);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn paired_difference(
    first: &[f64],
    second: &[f64],
    labels: &Labels,
    resamples: usize,
    rng: &mut ChaCha8Rng,
) -> Result<PairedDifference> {
    if resamples < 40 {
        let range = "at least 40".to_owned();
        return Err(Error::Setting { what: "the number of resamples", got: resamples, range });
    }
    if first.len() != second.len() {
        let range = format!("{}, as many as of the other", second.len());
        return Err(Error::Setting { what: "the number of queries", got: first.len(), range });
    }
    labels.expect_len(first.len())?;
    let mut sums = BTreeMap::<_, (f64, usize)>::new();
    for ((a, b), class) in first.iter().zip(second).zip(labels.as_slice()) {
        let (sum, count) = sums.entry(class).or_default();
        *sum += a - b;
        *count += 1;
    }
    let classes: Vec<(f64, usize)> = sums.into_values().collect();
    if classes.is_empty() {
        return Err(Error::NoPositive { queries: 0 });
    }
    let mean = |drawn: &mut dyn Iterator<Item = (f64, usize)>| {
        let (sum, count) = drawn.fold((0., 0), |(s, n), (sum, count)| (s + sum, n + count));
        sum / count as f64
    };
    let difference = mean(&mut classes.iter().copied());
    let draw = |_| mean(&mut (0..classes.len()).map(|_| classes[rng.random_range(0..classes.len())]));
    let mut differences: Vec<f64> = (0..resamples).map(draw).collect();
    differences.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| differences[((share * resamples as f64).ceil() as usize).clamp(1, resamples) - 1];
    let n = resamples as f64;
    let below = differences.iter().filter(|&&d| d <= 0.).count() as f64;
    let above = differences.iter().filter(|&&d| d >= 0.).count() as f64;
    let center = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - center).powi(2)).sum::<f64>() / (n - 1.);
    Ok(PairedDifference {
        difference,
        interval: Interval { low: at(0.025), high: at(0.975) },
        standard_error: variance.sqrt(),
        p: (2. * (below.min(above) + 1.) / (n + 1.)).min(1.),
        classes: classes.len(),
    })
}

/// P-values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979): the chance of one or more false findings
/// among all stays below the level that they are held against.
///
/// ```
/// # use npair_metrics::holm;
/// assert_eq!(holm(&[0.01, 0.04, 0.5]), [0.03, 0.08, 0.5]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut corrected, mut largest) = (vec![0.; p_values.len()], 0f64);
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[at]).min(1.);
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    /// Of two scores that differ by chance alone, one difference in twenty is found at the 5 % level.
    #[test]
    fn chance_is_found_as_often_as_it_says() {
        let labels = Labels::new((0..80u32).flat_map(|class| [class; 3])).unwrap();
        let mut found = 0;
        for seed in 0..400 {
            let mut rng = Streams::new(seed).open(Purpose::Evaluation, [1, 0]);
            let mut draw = || -> Vec<f64> {
                (0..240).map(|i| f64::from(u8::from(rng.random::<f64>() < [0.3, 0.5, 0.9][i / 3 % 3]))).collect()
            };
            let (first, second) = (draw(), draw());
            let mut rng = Streams::new(seed).open(Purpose::Evaluation, [2, 0]);
            found += usize::from(paired_difference(&first, &second, &labels, 400, &mut rng).unwrap().p < 0.05);
        }
        // 20 of 400 are promised, with a deviation of 4.4; three of them are allowed.
        assert!((7..=33).contains(&found), "{found} of 400");
    }

    #[test]
    fn a_difference_is_found_and_sized() {
        let labels = Labels::new(0..200u32).unwrap();
        let first: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
        let second: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 4 == 1))).collect();
        let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
        let found = paired_difference(&first, &second, &labels, 1000, &mut rng).unwrap();
        // A quarter of the classes differ by 1: the error is sqrt(3 / 16 / 200) = 0.031.
        assert_eq!(found.difference, 0.25);
        assert!((found.standard_error - 0.0306).abs() < 0.003 && found.p < 0.01, "{found:?}");
        assert!((found.times_as_many() - (2.8f64 * 0.0306 / 0.25).powi(2)).abs() < 0.03);
        assert!(paired_difference(&first, &second[1..], &labels, 1000, &mut rng).is_err());
    }
}

use crate::{Error, Result};
use npair_types::{ChaCha8Rng, Labels};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// A 95 % interval of the mean of per-query scores by the bootstrap: whole classes are drawn with replacement, since the queries of
/// one class are not independent of each other; the 2.5th and 97.5th percentile of the means.
///
/// # Shapes
/// `values` and the queries' `labels`: Q; `resamples`: at least 40, so that a 40th is more than one; 1,000 is usual.
///
/// # Errors
/// [`Error::Setting`] if there are fewer resamples, or lengths differ; [`Error::NoPositive`] if there is no value.
///
/// # Source
/// Efron, 1979; drawing clusters: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
///
/// # Examples
/// ```
/// # use npair_metrics::bootstrap;
/// # use npair_types::{Labels, Purpose, Streams};
/// let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
/// // Two classes, one always found and one never: a resample's mean is 0, 1/2 or 1.
/// let interval = bootstrap(&[1., 1., 0., 0.], &Labels::new([1, 1, 2, 2])?, 1000, &mut rng)?;
/// assert_eq!((interval.low, interval.high), (0., 1.));
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn bootstrap(values: &[f64], labels: &Labels, resamples: usize, rng: &mut ChaCha8Rng) -> Result<Interval> {
    if resamples < 40 {
        return Err(Error::Setting {
            what: "the number of resamples",
            got: resamples,
            range: "at least 40".to_owned(),
        });
    }
    labels.expect_len(values.len())?;
    let mut classes = BTreeMap::<_, (f64, usize)>::new();
    for (value, class) in values.iter().zip(labels.as_slice()) {
        let (sum, count) = classes.entry(class).or_default();
        *sum += value;
        *count += 1;
    }
    let classes: Vec<(f64, usize)> = classes.into_values().collect();
    if classes.is_empty() {
        return Err(Error::NoPositive { queries: 0 });
    }
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let (mut sum, mut count) = (0., 0);
            for _ in 0..classes.len() {
                let (s, n) = classes[rng.random_range(0..classes.len())];
                sum += s;
                count += n;
            }
            sum / count as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| means[((share * resamples as f64).ceil() as usize).clamp(1, resamples) - 1];
    Ok(Interval { low: at(0.025), high: at(0.975) })
}

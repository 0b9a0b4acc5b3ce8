//! Rows into groups: by a similarity that members of a group have in the mean, or into a given number of groups.

use crate::{Error, Result};
use kodama::{Method, linkage};
use npair_metrics::{Embeddings, KMeans};
use npair_similarity::{PairwiseSimilarity, Rows};
use npair_types::{ChaCha8Rng, Labels, Measure};
use rayon::prelude::*;

/// The most rows of [`agglomerate`]: 0.8 GB of distances.
pub const MOST_ROWS: usize = 20_000;

/// Groups that grow together: the two groups of the largest mean similarity over all pairs of their rows are joined, again and
/// again, while that mean is at least `threshold`. Returns the group of every row; groups are numbered by their first rows.
///
/// # Units
/// `threshold` is a similarity by `measure`: a cosine, an inner product, or minus a squared distance.
///
/// # Numerics
/// Similarities are taken in f64 and kept, and averaged, in f32. Memory is 2 n^2 bytes for n rows, time that of n^2.
///
/// # Errors
/// [`Error::Setting`] for more than [`MOST_ROWS`] rows, before work begins, or a threshold that is NaN; if similarities are not
/// finite.
///
/// # Examples
/// ```
/// # use npair_index::group::agglomerate;
/// # use npair_similarity::Rows;
/// # use npair_types::Measure;
/// let rows = Rows::new(&[0f32, 5., 1., 6.], 1)?;
/// assert_eq!(agglomerate(rows, Measure::SquaredEuclidean, -4.)?, [0, 1, 0, 1]);
/// # Ok::<(), npair_index::Error>(())
/// ```
pub fn agglomerate(rows: Rows<f32>, measure: Measure, threshold: f64) -> Result<Vec<usize>> {
    let n = rows.len();
    if n > MOST_ROWS {
        let why = format!(
            "{n} rows, but at most {MOST_ROWS} are grouped by all their pairs: give a part of them, or use k_means"
        );
        return Err(Error::setting("grouping", why));
    }
    if threshold.is_nan() {
        return Err(Error::setting("threshold", "is no number: give a similarity"));
    }
    let mut distances = distances(rows, measure)?;
    let steps = linkage(&mut distances, n, Method::Average);
    let mut groups = Joined::new(n, steps.steps().len());
    for (at, step) in steps.steps().iter().enumerate() {
        if -f64::from(step.dissimilarity) >= threshold {
            groups.join(step.cluster1, step.cluster2, n + at);
        }
    }
    Ok(groups.numbers(n))
}

/// K groups by k-means on squared distances. Returns the group of every row.
///
/// # Errors
/// Those of [`KMeans::run`]: if `k` is 0 or above the number of rows.
pub fn k_means(rows: Rows<f32>, k: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
    // Labels play no part.
    let labels = Labels::new(vec![0; rows.len()])?;
    let set = Embeddings::new(rows.as_slice(), rows.width(), labels)?;
    Ok(KMeans::new(k).run(&set, rng)?.assignment)
}

/// Minus the similarity of every pair i < j, row after row.
fn distances(rows: Rows<f32>, measure: Measure) -> Result<Vec<f32>> {
    let (n, pairs) = (rows.len(), PairwiseSimilarity::new(rows, rows, measure));
    let mut all = vec![0f32; n * n.saturating_sub(1) / 2];
    let mut lines = Vec::with_capacity(n);
    let mut rest = all.as_mut_slice();
    for i in 0..n {
        let (line, after) = rest.split_at_mut(n - i - 1);
        lines.push((i, line));
        rest = after;
    }
    let wrong = lines.into_par_iter().find_map_first(|(i, line)| {
        line.iter_mut().enumerate().for_each(|(at, v)| *v = -pairs.similarity(i, i + 1 + at) as f32);
        (!line.iter().all(|v| v.is_finite())).then_some(i)
    });
    match wrong {
        Some(row) => Err(npair_similarity::Error::Overflow { row, dtype: "f32" }.into()),
        None => Ok(all),
    }
}

/// Which cluster was joined into which.
struct Joined {
    parents: Vec<usize>,
}

impl Joined {
    fn new(rows: usize, steps: usize) -> Self {
        Self { parents: (0..rows + steps).collect() }
    }

    fn join(&mut self, a: usize, b: usize, to: usize) {
        self.parents[a] = to;
        self.parents[b] = to;
    }

    /// The number of every row's group.
    fn numbers(&self, rows: usize) -> Vec<usize> {
        // A cluster's parent has a larger number: from the last one down, parents are known first.
        let mut tops = self.parents.clone();
        for at in (0..tops.len()).rev() {
            tops[at] = tops[tops[at]];
        }
        let (mut numbers, mut next) = (vec![None; tops.len()], 0);
        let mut number = |top: usize| {
            *numbers[top].get_or_insert_with(|| {
                next += 1;
                next - 1
            })
        };
        tops[..rows].iter().map(|&top| number(top)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use npair_types::{Purpose, Streams};
    use proptest::prelude::*;

    /// Joins the nearest two groups by looking at all pairs of groups, with sums in f64.
    fn naive(rows: Rows<f32>, measure: Measure, threshold: f64) -> Vec<usize> {
        let pairs = PairwiseSimilarity::new(rows, rows, measure);
        let mut groups: Vec<Vec<usize>> = (0..rows.len()).map(|i| vec![i]).collect();
        loop {
            let mut best = (f64::NEG_INFINITY, 0, 0);
            for a in 0..groups.len() {
                for b in a + 1..groups.len() {
                    let sum: f64 = groups[a]
                        .iter()
                        .flat_map(|&i| groups[b].iter().map(move |&j| (i, j)))
                        .map(|(i, j)| pairs.similarity(i, j))
                        .sum();
                    let mean = sum / (groups[a].len() * groups[b].len()) as f64;
                    if mean > best.0 {
                        best = (mean, a, b);
                    }
                }
            }
            if best.0 < threshold {
                break;
            }
            let joined = groups.remove(best.2);
            groups[best.1].extend(joined);
        }
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort();
        let mut of = vec![0; rows.len()];
        groups.iter().enumerate().for_each(|(number, group)| group.iter().for_each(|&i| of[i] = number));
        of
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn groups_are_those_of_naive_average_linkage(
            values in prop::collection::vec(-1f32..1., 2..60), threshold in -0.9f64..0.95, by in 0..3usize,
        ) {
            let rows = Rows::new(&values[..values.len() / 2 * 2], 2).unwrap();
            let measure = [Measure::Cosine, Measure::Dot, Measure::SquaredEuclidean][by];
            prop_assert_eq!(agglomerate(rows, measure, threshold).unwrap(), naive(rows, measure, threshold));
        }
    }

    #[test]
    fn ends_and_limits() {
        let one = Rows::new(&[1f32, 0.], 2).unwrap();
        assert_eq!(agglomerate(one, Measure::Cosine, 0.5).unwrap(), [0]);
        assert!(agglomerate(Rows::new(&[], 2).unwrap(), Measure::Cosine, 0.5).unwrap().is_empty());
        let many = vec![1f32; MOST_ROWS + 1];
        let said = agglomerate(Rows::new(&many, 1).unwrap(), Measure::Cosine, 0.5).unwrap_err().to_string();
        assert!(said.contains("20001 rows") && said.contains("k_means"), "{said}");
        assert!(agglomerate(one, Measure::Cosine, f64::NAN).is_err());
        let large = Rows::new(&[1e30f32, 1e30], 1).unwrap();
        assert!(agglomerate(large, Measure::Dot, 0.).unwrap_err().to_string().contains("overflows"));
    }

    #[test]
    fn k_means_is_that_of_the_metrics() {
        let rows = Rows::new(&[0f32, 1., 10., 11.], 1).unwrap();
        let found = k_means(rows, 2, &mut Streams::new(0).open(Purpose::Evaluation, [0, 0])).unwrap();
        assert!(found[0] == found[1] && found[2] == found[3] && found[0] != found[2]);
    }
}

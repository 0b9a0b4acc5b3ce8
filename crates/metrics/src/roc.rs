use crate::vrf::PairScores;
use crate::{Embeddings, Error, Result};
use npair_types::{ChaCha8Rng, ClassIndex, Measure};
use rand::Rng;

/// The ROC of a verifier that says "same" from a threshold on: false and true accept rates at every distinct score.
///
/// # Examples
/// ```
/// # use npair_metrics::Roc;
/// let roc = Roc::new(&[0.9, 0.8, 0.7, 0.6], &[true, false, true, false])?;
/// assert_eq!(roc.auc(), 0.75); // 3 of the 4 (same, other) pairs are in order
/// assert_eq!(roc.eer(), 0.5);
/// assert_eq!(roc.tar_at_far(0.), 0.5); // 0.9 alone
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Roc {
    /// (false accepts, true accepts, threshold), from the highest threshold down; first (0, 0, infinity).
    points: Vec<(usize, usize, f64)>,
    same: usize,
    other: usize,
}

impl Roc {
    /// From scores (larger is nearer) and whether each is of one class.
    ///
    /// # Errors
    /// [`Error::Setting`] if the lengths differ, [`Error::NotFinite`], [`Error::OneKindOfPair`].
    pub fn new(scores: &[f64], same: &[bool]) -> Result<Self> {
        if scores.len() != same.len() {
            let range = format!("{}, the number of scores", scores.len());
            return Err(Error::Setting { what: "the number of same-or-not flags", got: same.len(), range });
        }
        if let Some(at) = scores.iter().position(|s| !s.is_finite()) {
            return Err(Error::NotFinite { at });
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let (mut accepts, mut points) = ((0usize, 0usize), vec![(0, 0, f64::INFINITY)]);
        for (at, &i) in order.iter().enumerate() {
            if same[i] {
                accepts.1 += 1
            } else {
                accepts.0 += 1
            }
            // Equal scores are accepted together.
            if order.get(at + 1).is_none_or(|&next| scores[next] != scores[i]) {
                points.push((accepts.0, accepts.1, scores[i]));
            }
        }
        let (other, same) = accepts;
        if other == 0 || same == 0 {
            return Err(Error::OneKindOfPair { same, other });
        }
        Ok(Self { points, same, other })
    }

    /// Over all pairs of a set, or over `most` pairs drawn at random (with replacement, half of them of one class) if there
    /// are more.
    ///
    /// # Numerics
    /// Cosines that differ by no more than what rounding makes of equal ones, 16 machine epsilons, are one score: whether copies of
    /// a pair tie does not depend on it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_pairs(set: &Embeddings, measure: Measure, most: usize, rng: &mut ChaCha8Rng) -> Result<Self> {
        let (pairs, scores) = scored_pairs(set, measure, most, rng)?;
        let same: Vec<bool> = pairs.iter().map(|&(i, j)| set.labels().same(i, j)).collect();
        Self::new(&scores, &same)
    }

    fn rates(&self, point: (usize, usize, f64)) -> (f64, f64) {
        (point.0 as f64 / self.other as f64, point.1 as f64 / self.same as f64)
    }

    /// (false accept rate, true accept rate) from (0, 0) to (1, 1).
    pub fn curve(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().map(|&p| self.rates(p))
    }

    /// Area under the curve: the chance that a pair of one class scores above one of two, a tie counting half.
    pub fn auc(&self) -> f64 {
        let trapezoid = |w: &[(usize, usize, f64)]| (w[1].0 - w[0].0) as f64 * (w[0].1 + w[1].1) as f64 / 2.;
        self.points.windows(2).map(trapezoid).sum::<f64>() / (self.same as f64 * self.other as f64)
    }

    /// Equal error rate: the mean of false accept and false reject rate where they are nearest to each other.
    pub fn eer(&self) -> f64 {
        let gaps = self.curve().map(|(far, tar)| ((far - (1. - tar)).abs(), (far + 1. - tar) / 2.));
        gaps.reduce(|best, gap| if gap.0 < best.0 { gap } else { best }).map_or(1., |(_, rate)| rate)
    }

    /// Equal error rate where false accept and false reject rate meet on the lines between the points of the curve: between two
    /// thresholds, of the mixtures of both.
    ///
    /// ```
    /// # use npair_metrics::Roc;
    /// // At 0.7 no pair is accepted wrongly and 1 of 3 rejected; at 0.6 1 of 2 is accepted wrongly, still 1 of 3 rejected.
    /// let roc = Roc::new(&[0.9, 0.7, 0.6, 0.5, 0.4], &[true, true, false, true, false])?;
    /// assert!((roc.eer_interpolated() - 1. / 3.).abs() < 1e-15);
    /// assert!((roc.eer() - (0.5 + 1. / 3.) / 2.).abs() < 1e-15);
    /// # Ok::<(), npair_metrics::Error>(())
    /// ```
    pub fn eer_interpolated(&self) -> f64 {
        let points: Vec<(f64, f64)> = self.curve().collect();
        // By how much more is rejected wrongly than accepted: 1 at first, -1 at last, and it never rises.
        let gap = |(far, tar): (f64, f64)| 1. - tar - far;
        let at = points.partition_point(|&p| gap(p) > 0.);
        let (before, after) = (points[at - 1], points[at]);
        let share = gap(before) / (gap(before) - gap(after));
        before.0 + share * (after.0 - before.0)
    }

    /// The best accuracy of any threshold, and that threshold: halfway between the lowest accepted score and the next lower one, so
    /// that scores not seen here have room on either side. Of equally good thresholds the highest; infinite if it is best to
    /// accept nothing, minus infinite if it is best to accept everything.
    pub fn best_accuracy(&self) -> (f64, f64) {
        let right = |p: &(usize, usize, f64)| p.1 + self.other - p.0;
        let mut best = 0;
        for at in 1..self.points.len() {
            if right(&self.points[at]) > right(&self.points[best]) {
                best = at;
            }
        }
        let threshold = match (best, self.points.get(best + 1)) {
            (0, _) => f64::INFINITY,
            (_, None) => f64::NEG_INFINITY,
            (_, Some(next)) => {
                let own = self.points[best].2;
                let middle = next.2 + (own - next.2) / 2.;
                // Between neighbouring numbers there is no middle.
                if middle > next.2 { middle } else { own }
            }
        };
        (right(&self.points[best]) as f64 / (self.same + self.other) as f64, threshold)
    }

    /// True accept rate at the lowest threshold whose false accept rate is at most `far`.
    pub fn tar_at_far(&self, far: f64) -> f64 {
        self.rates(self.at_far(far)).1
    }

    /// The lowest threshold whose false accept rate is at most `far`; infinite if even the best score would exceed it.
    pub fn threshold_at_far(&self, far: f64) -> f64 {
        self.at_far(far).2
    }

    fn at_far(&self, far: f64) -> (usize, usize, f64) {
        let below = self.points.partition_point(|&p| self.rates(p).0 <= far);
        // The first point has a rate of 0.
        self.points[below.max(1) - 1]
    }
}

/// Pairs of rows, and their scores.
type Scored = (Vec<(usize, usize)>, Vec<f64>);

/// All pairs of a set with their scores, or `most` drawn at random if there are more. Cosines that differ by rounding are one score.
pub(crate) fn scored_pairs(set: &Embeddings, measure: Measure, most: usize, rng: &mut ChaCha8Rng) -> Result<Scored> {
    let (n, near) = (set.len(), PairScores::new(set, measure));
    let pairs: Vec<(usize, usize)> = if n * n.saturating_sub(1) / 2 <= most {
        (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect()
    } else {
        drawn(set, most, rng)?
    };
    let mut scores: Vec<f64> = pairs.iter().map(|&(i, j)| near.of(i, j)).collect();
    if measure == Measure::Cosine {
        tie(&mut scores, 16. * f64::EPSILON);
    }
    Ok((pairs, scores))
}

/// How often a row of another class is drawn blindly: where one class is nearly all, that would take for ever.
const TRIES: usize = 64;

/// A row of another class than row `i`'s, all alike; there is one.
fn other_class(index: &ClassIndex, set: &Embeddings, i: usize, rng: &mut ChaCha8Rng) -> usize {
    let place = index.classes().binary_search(&set.labels().get(i)).unwrap_or(0);
    let own = index.examples(place);
    // So many others come before the one that is drawn, and it moves up by each of its class before it.
    own.iter().fold(rng.random_range(0..set.len() - own.len()), |j, row| if row.0 <= j { j + 1 } else { j })
}

/// Scores that differ by no more than `least` from the next one below become that one: the lowest of all that hang together.
fn tie(scores: &mut [f64], least: f64) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut before = f64::NEG_INFINITY;
    let mut lowest = f64::NEG_INFINITY;
    for i in order {
        if scores[i] - before > least {
            lowest = scores[i];
        }
        before = scores[i];
        scores[i] = lowest;
    }
}

fn drawn(set: &Embeddings, most: usize, rng: &mut ChaCha8Rng) -> Result<Vec<(usize, usize)>> {
    let index = ClassIndex::from_labels(set.labels());
    let with_pair = index.with_at_least(2);
    if with_pair.is_empty() || index.len() < 2 {
        return Err(Error::OneKindOfPair { same: 0, other: 0 });
    }
    let queries: Vec<(usize, usize)> =
        with_pair.iter().flat_map(|&p| (0..index.examples(p).len()).map(move |at| (p, at))).collect();
    let mut pairs = Vec::with_capacity(most);
    while pairs.len() + 1 < most.max(2) {
        let (place, at) = queries[rng.random_range(0..queries.len())];
        let own = index.examples(place);
        let other = rng.random_range(0..own.len() - 1);
        pairs.push((own[at].0, own[if other < at { other } else { other + 1 }].0));
        let i = rng.random_range(0..set.len());
        let tried = (0..TRIES).map(|_| rng.random_range(0..set.len())).find(|&j| !set.labels().same(i, j));
        pairs.push((i, tried.unwrap_or_else(|| other_class(&index, set, i, rng))));
    }
    Ok(pairs)
}

use crate::embeddings::AnyRows;
use crate::{Embeddings, Error, Mean, Result};
use npair_similarity::PairwiseSimilarity;
use npair_types::{ChaCha8Rng, ClassIndex, Measure};
use rand::Rng;
use rand::seq::index::sample;

/// VRF(k), verification with k negatives: a query, one positive of its class and k negatives of k other classes; success if
/// the positive is nearer to the query than every negative. A tie is a failure. Chance is 1 / (k + 1).
///
/// Every example whose class has another is the query of `trials` trials; positive and negatives are drawn anew each time.
/// Examples alone in their class serve as negatives.
///
/// # Units
/// Share of the trials, in [0, 1].
///
/// # Errors
/// [`Error::Setting`] if `trials` is 0 or there are not k other classes, [`Error::NoPositive`] if no class has two examples.
///
/// # Source
/// Sohn, NIPS 2016, section 4.1 (k = 1 and k = N - 1); the number of trials and the rule for ties are ours.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, vrf};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let set = Embeddings::new(&[0f64, 0.1, 5., 5.1, 9., 9.1], 1, Labels::new([1, 1, 2, 2, 3, 3])?)?;
/// let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
/// assert_eq!(vrf(&set, Measure::SquaredEuclidean, 2, 10, &mut rng)?.value, 1.);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn vrf(set: &Embeddings, measure: Measure, k: usize, trials: usize, rng: &mut ChaCha8Rng) -> Result<Mean> {
    let index = ClassIndex::from_labels(set.labels());
    if k == 0 || k >= index.len() {
        let range = format!("from 1 to {}, one less than there are classes", index.len().saturating_sub(1));
        return Err(Error::Setting { what: "k of VRF(k)", got: k, range });
    }
    if trials == 0 {
        return Err(Error::Setting { what: "the number of trials per query", got: 0, range: "at least 1".to_owned() });
    }
    let near = PairScores::new(set, measure);
    let mut success = Vec::new();
    for place in index.with_at_least(2) {
        let own = index.examples(place);
        for (at, query) in own.iter().enumerate() {
            for _ in 0..trials {
                let other = rng.random_range(0..own.len() - 1);
                let positive = own[if other < at { other } else { other + 1 }];
                let bar = near.of(query.0, positive.0);
                // k of the other classes: those behind the own one move up a place.
                let negatives = sample(rng, index.len() - 1, k);
                let mut won = true;
                for c in negatives {
                    let examples = index.examples(if c < place { c } else { c + 1 });
                    let negative = examples[rng.random_range(0..examples.len())];
                    // One that is nearer decides; the others are drawn all the same.
                    won = won && near.of(query.0, negative.0) < bar;
                }
                success.push(f64::from(u8::from(won)));
            }
        }
    }
    Mean::of(&success).ok_or(Error::NoPositive { queries: set.len() })
}

/// PairScores of single pairs of a set's rows, in f64, larger is nearer: for lists of pairs, where most of the matrix is not asked
/// for.
///
/// ```
/// # use npair_metrics::{PairScores, Embeddings};
/// # use npair_types::{Labels, Measure};
/// let set = Embeddings::new(&[3f64, 4., 4., 3.], 2, Labels::new([0, 1])?)?;
/// assert_eq!(PairScores::new(&set, Measure::Dot).of(0, 1), 24.);
/// assert!((PairScores::new(&set, Measure::Cosine).of(0, 1) - 0.96).abs() < 1e-15);
/// assert_eq!(PairScores::new(&set, Measure::SquaredEuclidean).of(0, 1), -2.);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug)]
pub struct PairScores<'a>(Typed<'a>);

#[derive(Debug)]
enum Typed<'a> {
    Single(PairwiseSimilarity<'a, f32>),
    Double(PairwiseSimilarity<'a, f64>),
}

impl<'a> PairScores<'a> {
    /// For the rows of `set`.
    pub fn new(set: &'a Embeddings, measure: Measure) -> Self {
        Self(match set.any_rows() {
            AnyRows::Single(rows) => Typed::Single(PairwiseSimilarity::new(rows, rows, measure)),
            AnyRows::Double(rows) => Typed::Double(PairwiseSimilarity::new(rows, rows, measure)),
        })
    }

    /// Of rows i and j; minus the squared distance for [`Measure::SquaredEuclidean`], 0 for the cosine of a zero row.
    ///
    /// # Panics
    /// If a row is not there, as for slices.
    pub fn of(&self, i: usize, j: usize) -> f64 {
        match &self.0 {
            Typed::Single(pairs) => pairs.similarity(i, j),
            Typed::Double(pairs) => pairs.similarity(i, j),
        }
    }
}

//! LFW's protocol of verification (section 4.3 of the paper) on any set of unseen classes.

use crate::Result;
use npair_metrics::{Embeddings, Folds, PairScores, folds};
use npair_types::{ChaCha8Rng, ClassIndex, ExampleId, Measure};
use rand::Rng;
use rand::seq::SliceRandom;

/// Folds of the verification protocol.
const FOLDS: usize = 10;
/// Pairs of either kind in a fold, as in LFW's list.
const PAIRS: usize = 300;

/// Verification in ten folds like LFW's: the classes are cut into ten parts, 300 pairs of one class and 300 pairs of two
/// classes are drawn within each, and a fold is judged at the threshold that is best on the nine others. No class is in two
/// folds.
///
/// `None` with fewer than 20 classes, or where a fold has no class of two examples.
///
/// # Errors
/// Those of [`folds`].
///
/// # Source
/// Huang et al., Labeled Faces in the Wild, 2007 (the protocol; its own list of pairs is `npair_data::LfwPairs`).
pub(crate) fn ten_folds(set: &Embeddings, measure: Measure, rng: &mut ChaCha8Rng) -> Result<Option<Folds>> {
    let index = ClassIndex::from_labels(set.labels());
    if index.len() < 2 * FOLDS {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..index.len()).collect();
    order.shuffle(rng);
    let near = PairScores::new(set, measure);
    let (mut scores, mut same, mut fold) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..FOLDS {
        let part = &order[number * index.len() / FOLDS..(number + 1) * index.len() / FOLDS];
        let pairs: Vec<usize> = part.iter().copied().filter(|&c| index.examples(c).len() > 1).collect();
        if pairs.is_empty() {
            return Ok(None);
        }
        let mut add = |a: ExampleId, b: ExampleId, is_same| {
            scores.push(near.of(a.0, b.0));
            same.push(is_same);
            fold.push(number);
        };
        for _ in 0..PAIRS {
            let of_one = index.examples(pairs[rng.random_range(0..pairs.len())]);
            let (a, b) = two_of(of_one.len(), rng);
            add(of_one[a], of_one[b], true);
            let (c, d) = two_of(part.len(), rng);
            let mut any = |class: usize| {
                let examples = index.examples(part[class]);
                examples[rng.random_range(0..examples.len())]
            };
            let (a, b) = (any(c), any(d));
            add(a, b, false);
        }
    }
    Ok(Some(folds(&scores, &same, &fold)?))
}

/// Two different numbers below `n`, which is at least 2.
fn two_of(n: usize, rng: &mut ChaCha8Rng) -> (usize, usize) {
    let a = rng.random_range(0..n);
    let b = rng.random_range(0..n - 1);
    (a, if b < a { b } else { b + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Labels, Purpose, Streams};

    fn rng() -> ChaCha8Rng {
        Streams::new(5).open(Purpose::Evaluation, [9, 0])
    }

    /// Classes 0..n on a line, `apart` from each other, with `m` examples each, 0.01 from one to the next.
    fn line(n: u32, m: u32, apart: f64) -> Embeddings {
        let values: Vec<f64> = (0..n * m).map(|i| f64::from(i / m) * apart + 0.01 * f64::from(i % m)).collect();
        Embeddings::new(&values, 1, Labels::new((0..n * m).map(|i| i / m)).unwrap()).unwrap()
    }

    #[test]
    fn well_apart_is_told_rightly_and_all_alike_by_half() {
        let measure = Measure::SquaredEuclidean;
        let found = ten_folds(&line(40, 5, 1.), measure, &mut rng()).unwrap().unwrap();
        assert_eq!((found.accuracy.value, found.folds.len()), (1., 10));
        assert!(found.folds.iter().all(|f| f.pairs == 600));
        // All at one point: every score is the same, every threshold takes all or none, half of the pairs are wrong.
        let same =
            ten_folds(&Embeddings::new(&[1f64; 80], 1, line(40, 2, 1.).labels().clone()).unwrap(), measure, &mut rng());
        assert_eq!(same.unwrap().unwrap().accuracy.value, 0.5);
        assert!(ten_folds(&line(19, 5, 1.), measure, &mut rng()).unwrap().is_none());
        assert!(ten_folds(&line(40, 1, 1.), measure, &mut rng()).unwrap().is_none());
    }
}

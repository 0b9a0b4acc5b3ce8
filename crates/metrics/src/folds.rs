use crate::{Error, Mean, Result, Roc};
use serde::Serialize;

/// Verification accuracy over folds: every fold is judged at the threshold that is best on all the others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Folds {
    /// Mean of the folds' accuracies with its standard error, `sqrt(1/(n-1) sum_i (a_i - mean)^2) / sqrt(n)`.
    pub accuracy: Mean,
    /// Every fold, in the order of their numbers.
    pub folds: Vec<Fold>,
}

/// One fold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fold {
    /// Share of its pairs that were told rightly.
    pub accuracy: f64,
    /// The threshold, chosen on the other folds: a pair is accepted from it on.
    pub threshold: f64,
    /// Its pairs.
    pub pairs: usize,
}

/// Accuracy over folds: the protocol of Labeled Faces in the Wild, with ten of 600 pairs each.
///
/// # Shapes
/// For every pair its score (larger is nearer), whether both are of one class, and the number of its fold, from 0 on.
///
/// # Units
/// Shares, in [0, 1].
///
/// # Errors
/// [`Error::Setting`] if the lengths differ, there are not two folds, or one of them is empty; [`Error::NotFinite`];
/// [`Error::OneKindOfPair`] if the other folds of one have pairs of one kind alone.
///
/// # Source
/// Huang et al., Labeled Faces in the Wild, 2007, section III-B (view 2).
///
/// # Examples
/// ```
/// # use npair_metrics::folds;
/// let scores = [0.75, 0.25, 0.7, 0.5, 0.6, 0.1];
/// let found = folds(&scores, &[true, false, true, false, true, false], &[0, 0, 1, 1, 1, 1])?;
/// assert_eq!(found.folds[0].accuracy, 1.); // the other fold is told rightly from (0.6 + 0.5) / 2 on
/// assert_eq!(found.folds[1].accuracy, 0.75); // from (0.75 + 0.25) / 2 on, which accepts 0.5
/// assert_eq!(found.accuracy.value, 0.875);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn folds(scores: &[f64], same: &[bool], fold: &[usize]) -> Result<Folds> {
    if fold.len() != scores.len() || same.len() != scores.len() {
        let range = format!("{}, the number of scores", scores.len());
        let got = if fold.len() != scores.len() { fold.len() } else { same.len() };
        return Err(Error::Setting { what: "the number of folds' numbers or same-or-not flags", got, range });
    }
    let count = fold.iter().max().map_or(0, |&last| last + 1);
    if count < 2 {
        return Err(Error::Setting { what: "the number of folds", got: count, range: "at least 2".to_owned() });
    }
    let judge = |number: usize| -> Result<Fold> {
        let others = |keep: usize| fold[keep] != number;
        let pick = |i: usize| others(i).then_some((scores[i], same[i]));
        let (chosen, kinds): (Vec<f64>, Vec<bool>) = (0..scores.len()).filter_map(pick).unzip();
        let (_, threshold) = Roc::new(&chosen, &kinds)?.best_accuracy();
        let own: Vec<usize> = (0..scores.len()).filter(|&i| !others(i)).collect();
        if own.is_empty() {
            let range = "held by at least one pair: folds are numbered from 0 on".to_owned();
            return Err(Error::Setting { what: "a fold's number", got: number, range });
        }
        if let Some(&at) = own.iter().find(|&&i| !scores[i].is_finite()) {
            return Err(Error::NotFinite { at });
        }
        let right = own.iter().filter(|&&i| (scores[i] >= threshold) == same[i]).count();
        Ok(Fold { accuracy: right as f64 / own.len() as f64, threshold, pairs: own.len() })
    };
    let folds = (0..count).map(judge).collect::<Result<Vec<_>>>()?;
    let accuracies: Vec<f64> = folds.iter().map(|f| f.accuracy).collect();
    // There are at least two.
    let accuracy = Mean::of(&accuracies).ok_or(Error::NoPositive { queries: 0 })?;
    Ok(Folds { accuracy, folds })
}

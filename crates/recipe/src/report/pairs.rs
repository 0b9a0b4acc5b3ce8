//! Pairs of examples: the ROC, thresholds, and how similar the two kinds are.

use super::JudgedRun;
use crate::{LearnedVerifier, Result};
use npair_metrics::VerificationPairs;
use npair_report::{SimilarityHistogram, ThresholdRow};
use npair_types::{Purpose, Streams};

/// Bins of the histogram.
const BINS: usize = 60;
/// Points of the ROC.
const POINTS: usize = 400;
/// Most pairs.
const PAIRS: usize = 500_000;

/// The pairs of what was judged; none where all pairs are of one kind, or classes share labels and two of them are neither the same nor
/// not.
pub(super) fn of(run: &JudgedRun) -> Result<Option<VerificationPairs>> {
    if run.config.data.label_separator.is_some() {
        return Ok(None);
    }
    let mut rng = Streams::new(run.config.seed).open(Purpose::Evaluation, [12, 0]);
    match VerificationPairs::of(&run.set, run.config.evaluation.measure, PAIRS, &mut rng) {
        Ok(pairs) => Ok(Some(pairs)),
        Err(npair_metrics::Error::OneKindOfPair { .. }) => Ok(None),
        Err(error) => Err(npair_evaluate::Error::from(error).into()),
    }
}

/// The curve, thinned so that no step of either rate that can be seen is left out.
pub(super) fn roc(pairs: &VerificationPairs) -> Result<Vec<(f64, f64)>> {
    let all: Vec<(f64, f64)> = pairs.roc().map_err(npair_evaluate::Error::from)?.curve().collect();
    // On a logarithmic axis too: as many points below a rate of 1 % as above.
    let place = |(far, tar): (f64, f64)| (far.max(1e-7).log10() / 7. + 1. + tar) / 2.;
    let mut thinned: Vec<(f64, f64)> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for (at, &point) in all.iter().enumerate() {
        if at == 0 || at + 1 == all.len() || place(point) - last >= 1. / POINTS as f64 {
            thinned.push(point);
            last = place(point);
        }
    }
    Ok(thinned)
}

/// Thresholds, and what they do on these pairs.
pub(super) fn thresholds(learned: &LearnedVerifier, pairs: &VerificationPairs) -> Vec<ThresholdRow> {
    let row = |(t, here): (&npair_metrics::Threshold, npair_metrics::Rates)| ThresholdRow {
        far: t.far,
        threshold: t.threshold,
        low: Some(t.interval.low),
        high: Some(t.interval.high),
        far_here: Some(here.far),
        tar: 1. - here.frr,
    };
    learned.verifier.thresholds.iter().zip(learned.verifier.rates_on(pairs)).map(row).collect()
}

pub(super) fn histogram(pairs: &VerificationPairs) -> SimilarityHistogram {
    let range = |(low, high): (f64, f64), (score, _): (f64, bool)| (low.min(score), high.max(score));
    let (low, high) = pairs.scores().fold((f64::INFINITY, f64::NEG_INFINITY), range);
    let width = ((high - low) / BINS as f64).max(f64::MIN_POSITIVE);
    let edges = (0..=BINS).map(|at| low + at as f64 * width).collect();
    let (mut same, mut different) = (vec![0; BINS], vec![0; BINS]);
    for (score, is) in pairs.scores() {
        let bin = (((score - low) / width) as usize).min(BINS - 1);
        if is { same[bin] += 1 } else { different[bin] += 1 }
    }
    SimilarityHistogram { edges, same, different }
}

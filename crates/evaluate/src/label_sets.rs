//! Judging by labels that are shared, where classes are sets of labels.

use crate::judge::{RESAMPLES, Score, Scores};
use crate::{EvaluationConfig, Metric, Result};
use npair_metrics::{Embeddings, Mean, Search, bootstrap, label_overlaps};
use npair_types::{LabelSets, Purpose, Streams};
use rand::Rng;

/// Neighbours that are looked at.
const NEAREST: [usize; 3] = [1, 4, 10];
/// Pairs of examples that chance is found by.
const CHANCE: usize = 100_000;

/// What validation judges by, where classes are sets of labels: [`judge_label_sets`].
#[derive(Debug, Clone)]
pub struct LabelSetScores {
    /// The labels of the classes.
    pub sets: LabelSets,
    /// The measure that compares embeddings.
    pub settings: EvaluationConfig,
    /// Draws the resamples of intervals.
    pub streams: Streams,
}

impl Metric for LabelSetScores {
    fn name(&self) -> &str {
        "shared labels"
    }

    fn scores(&self, set: &Embeddings) -> Result<Scores> {
        judge_label_sets("val", set, &self.sets, &self.settings, self.streams)
    }

    fn selects_by(&self) -> Vec<String> {
        NEAREST.iter().rev().map(|k| format!("overlap@{k}")).collect()
    }
}

/// The scores of examples whose classes are sets of labels, each searched among all others.
///
/// * overlap@k: the mean Jaccard index of a query's labels and those of its k nearest;
/// * shared@k: the share of queries of whose k nearest one has a label of theirs.
///
/// # Units
/// In [0, 1], with 95 % intervals by the bootstrap over classes. What guessing reaches stands in the notes.
///
/// # Errors
/// If there is one example alone.
pub fn judge_label_sets(
    name: &str,
    set: &Embeddings,
    sets: &LabelSets,
    config: &EvaluationConfig,
    streams: Streams,
) -> Result<Scores> {
    let (mut scores, labels) = (Scores::new(name, set, config), set.labels());
    let fitting: Vec<usize> = NEAREST.into_iter().filter(|&k| k == 1 || k < set.len()).collect();
    let most = fitting.iter().copied().max().unwrap_or(1);
    let found = label_overlaps(&Search::within(set, config.measure), sets, most)?;
    let mut add = |name: String, value: &dyn Fn(&[f64]) -> f64| -> Result<()> {
        let values: Vec<f64> = found.iter().map(|near| value(near)).collect();
        let mut rng = streams.open(Purpose::Evaluation, [20, 0]);
        let interval = Some(bootstrap(&values, labels, RESAMPLES, &mut rng)?);
        let mean = Mean::of(&values).map(|mean| Score { interval, ..Score::mean(name, mean) });
        scores.scores.extend(mean);
        Ok(())
    };
    for &k in &fitting {
        add(format!("overlap@{k}"), &|near| near[..k].iter().sum::<f64>() / k as f64)?;
    }
    for &k in &fitting {
        add(format!("shared@{k}"), &|near| f64::from(u8::from(near[..k].iter().any(|&overlap| overlap > 0.))))?;
    }
    let (overlap, shared) = chance(set, sets, streams);
    scores.notes.push(format!(
        "classes are sets of labels, {} labels in all; of two examples drawn at random the labels overlap by {overlap:.4} in the mean, and \
         {:.1} % share one",
        sets.names().len(),
        100. * shared
    ));
    Ok(scores)
}

/// The mean overlap of two different examples, and how often they share a label.
fn chance(set: &Embeddings, sets: &LabelSets, streams: Streams) -> (f64, f64) {
    let (labels, mut rng) = (set.labels(), streams.open(Purpose::Evaluation, [21, 0]));
    let (mut overlap, mut shared) = (0., 0usize);
    for _ in 0..CHANCE {
        let a = rng.random_range(0..labels.len());
        // Another one: the step is not that around to itself.
        let b = (a + rng.random_range(1..labels.len().max(2))) % labels.len();
        let of_pair = sets.overlap(labels.get(a), labels.get(b));
        overlap += of_pair;
        shared += usize::from(of_pair > 0.);
    }
    (overlap / CHANCE as f64, shared as f64 / CHANCE as f64)
}

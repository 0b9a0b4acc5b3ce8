//! What a run that went wrong without an error is told at its end.

use crate::Config;
use npair_backbones::EmbeddingModel;
use npair_evaluate::{Inputs, Scores, embed_ids};
use npair_train::{Callback, CollapseWatch, Moment, Outcome, StepReport};
use npair_types::ExampleId;

/// Examples whose embeddings are compared.
const LOOKED_AT: usize = 200;
/// From this mean cosine on, embeddings are one point.
const ALIKE: f64 = 0.999;
/// Steps after which a loss has to have left that of guessing.
const LOOKED_FOR: u64 = 200;

/// Passes everything on to the listener, and says when a loss does not leave that of guessing.
pub(crate) struct Watched<'a> {
    listener: &'a mut dyn Callback,
    /// None where the loss of guessing is not known. A run that goes on is watched anew: what it is told is no part of it.
    chance: Option<CollapseWatch>,
    /// Of other losses: how the first steps compare with those at which it has to have fallen.
    fall: Fall,
}

/// Losses of the first steps, and the steps after which they are compared with later ones.
struct Fall {
    first: Vec<f64>,
    last: Vec<f64>,
    after: u64,
    told: bool,
}

/// Steps at both ends that are compared.
const ENDS: usize = 5;

impl Fall {
    fn new(after: u64) -> Self {
        Self { first: Vec::new(), last: Vec::new(), after, told: false }
    }

    /// Words about a loss that is where it began, once.
    fn notice(&mut self, report: &StepReport) -> Option<String> {
        if self.first.len() < ENDS && report.step <= ENDS as u64 {
            self.first.push(report.loss);
        }
        if self.last.len() == ENDS {
            self.last.remove(0);
        }
        self.last.push(report.loss);
        // A run that goes on has no beginning to compare with.
        if self.told || report.step < self.after || self.first.len() < ENDS || report.step < 2 * ENDS as u64 {
            return None;
        }
        self.told = true;
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&self.first), mean(&self.last));
        (last >= 0.99 * first).then(|| {
            format!(
                "after {} steps the loss is {last:.3}, where it was {first:.3} in the first: nothing is learned",
                report.step
            )
        })
    }
}

impl<'a> Watched<'a> {
    pub(crate) fn new(listener: &'a mut dyn Callback, config: &Config) -> Self {
        let known = config.loss.name() == "n-pair-mc";
        let after = LOOKED_FOR.min(config.training.steps);
        Self {
            listener,
            fall: Fall::new(after),
            chance: known.then(|| CollapseWatch::new((config.batch.classes as f64).ln(), after)),
        }
    }

    /// Says what is wrong with the run as it ended.
    pub(crate) fn diagnose(&mut self, model: &dyn EmbeddingModel, inputs: &dyn Inputs) {
        if alike(model, inputs).is_some_and(|cosine| cosine > ALIKE) {
            self.listener.note(
                "warning: all embeddings point the same way, so that nothing is told apart. Lower optimizer.learning_rate, or take another loss",
            );
        }
    }
}

/// Mean cosine over all pairs of some examples; none if they cannot be embedded.
fn alike(model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> Option<f64> {
    let step = inputs.len().div_ceil(LOOKED_AT).max(1);
    let ids: Vec<ExampleId> = (0..inputs.len()).step_by(step).map(ExampleId).collect();
    let rows = embed_ids(model, inputs, &ids, &mut |_| ()).ok()?.to_vec2::<f32>().ok()?;
    let n = rows.len() as f64;
    let mut sum = vec![0f64; rows.first()?.len()];
    for row in &rows {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) / norm);
    }
    // The sum over all pairs is the square of the sum, less the pairs of a row with itself.
    let square: f64 = sum.iter().map(|s| s * s).sum();
    (n > 1.).then(|| (square - n) / (n * (n - 1.)))
}

impl Callback for Watched<'_> {
    fn name(&self) -> &str {
        self.listener.name()
    }

    fn note(&mut self, text: &str) {
        self.listener.note(text);
    }

    fn begin(&mut self, at: &mut Moment<'_>) -> npair_train::Result<()> {
        self.listener.begin(at)
    }

    fn step(&mut self, at: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        let words = match &mut self.chance {
            Some(chance) => chance.notice(report),
            None => self.fall.notice(report),
        };
        if let Some(words) = words {
            self.listener.note(&format!("warning: {words} (optimizer.learning_rate, schedule.warm_up)"));
        }
        self.listener.step(at, report)
    }

    fn evaluation(&mut self, at: &mut Moment<'_>, scores: &Scores, best: bool) -> npair_train::Result<()> {
        self.listener.evaluation(at, scores, best)
    }

    fn checkpoint(&mut self, at: &mut Moment<'_>) -> npair_train::Result<()> {
        self.listener.checkpoint(at)
    }

    fn end(&mut self, at: &mut Moment<'_>, outcome: &Outcome) -> npair_train::Result<()> {
        self.listener.end(at, outcome)
    }

    fn stop(&mut self) -> bool {
        self.listener.stop()
    }
}

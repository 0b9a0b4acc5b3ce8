//! What a run that went wrong without an error is told at its end.

use crate::doctor::{Case, Fault, Finding, Grade};
use crate::{Config, Result, Run};
use npair_evaluate::Scores;
use npair_train::{Callback, LossWatch, Moment, Outcome, StepReport};
use std::path::Path;

/// Steps after which a loss has to have left that of guessing.
const LOOKED_FOR: u64 = 200;

/// Passes everything on to the listener, and says when a loss does not leave where it began.
pub(crate) struct Watched<'a> {
    listener: &'a mut dyn Callback,
    /// A run that goes on is watched anew: what it is told is no part of it.
    loss: LossWatch,
}

/// The watch of a run's loss.
pub(crate) fn loss_watch(config: &Config) -> LossWatch {
    let after = LOOKED_FOR.min(config.training.steps);
    guessing(config).map_or_else(|| LossWatch::from_first_steps(after), |loss| LossWatch::from_guessing(loss, after))
}

/// The loss of embeddings that are all alike, where it is known: ln N of the N-pair loss.
pub(crate) fn guessing(config: &Config) -> Option<f64> {
    (config.loss.name() == "n-pair-mc").then(|| (config.batch.classes as f64).ln())
}

impl<'a> Watched<'a> {
    pub(crate) fn new(listener: &'a mut dyn Callback, config: &Config) -> Self {
        Self { listener, loss: loss_watch(config) }
    }

    /// Says what is wrong with the run as it ended, by what its journal tells. A loss that did not fall was told when it was seen.
    pub(crate) fn diagnose(&mut self, folder: &Path) -> Result<()> {
        let case = Case::of_run(&Run::open(folder)?)?;
        let faults = case.examine().into_iter();
        for finding in faults.filter(|f| f.grade == Grade::Fault && f.fault != Fault::NothingLearned) {
            let Finding { fault, evidence, cure, .. } = finding;
            self.listener.note(&format!("warning: {}: {evidence}. Cure: {cure}", fault.title()));
        }
        Ok(())
    }
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
        if let Some(stuck) = self.loss.notice(report.loss) {
            self.listener.note(&format!("warning: {stuck} (optimizer.learning_rate, schedule.warm_up)"));
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

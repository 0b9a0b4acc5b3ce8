use super::chosen;
use crate::{Error, Result, Score, Scores};
use npair_data::{Dataset, OneShotRuns};
use npair_metrics::{Embeddings, Mean, Search, identification};
use npair_types::Measure;
use serde::Serialize;

/// One-shot classification over runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneShot {
    /// Share of the test images that were given the wrong class: mean over the runs with its standard error.
    pub error: Mean,
    /// Every run, in its order.
    pub runs: Vec<OneShotRun>,
}

/// One run: every test image goes to the class of the nearest training image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneShotRun {
    /// What it is called: the official name, or the group that it was drawn from.
    pub name: String,
    /// Classes to choose from, each with one training image.
    pub ways: usize,
    /// Share of the test images that were given the wrong class.
    pub error: f64,
}

impl OneShotRun {
    /// Judges one run. Labels say which test image is of the class of which training image.
    ///
    /// A training image of another class that is as near as the right one makes an error: nothing is gained by embedding all
    /// images at one point.
    pub(super) fn judge(name: String, training: &Embeddings, test: &Embeddings, measure: Measure) -> Result<Self> {
        let found = identification(&Search::between(test, training, measure), &[1], &[])?;
        let right: f64 = found.rank_at.iter().map(|(_, share)| share.value).sum();
        Ok(Self { name, ways: training.len(), error: 1. - right })
    }
}

impl OneShot {
    pub(super) fn of(runs: Vec<OneShotRun>) -> Result<Self> {
        let errors: Vec<f64> = runs.iter().map(|run| run.error).collect();
        let error = Mean::of(&errors).ok_or_else(|| Error::Setting {
            setting: "protocol",
            why: "there are no runs: give 1 or more".to_owned(),
        })?;
        Ok(Self { error, runs })
    }

    /// As a table of scores. `images` are those that were embedded, `classes` theirs.
    pub fn scores(&self, set: &str, measure: Measure, images: usize, classes: usize) -> Scores {
        let (least, most) =
            self.runs.iter().fold((usize::MAX, 0), |(low, high), r| (low.min(r.ways), high.max(r.ways)));
        let ways = if least == most { format!("{most}-way") } else { format!("{least}- to {most}-way") };
        let standard_error = Some(self.error.standard_error).filter(|_| self.runs.len() > 1);
        let score = |name: &str, value| Score { standard_error, ..Score::plain(name, value) };
        Scores {
            set: format!("{set}, one-shot, {ways}, {} runs", self.runs.len()),
            examples: images,
            classes,
            measure: measure.to_string(),
            scores: vec![score("one-shot error", self.error.value), score("one-shot accuracy", 1. - self.error.value)],
            notes: Vec::new(),
        }
    }
}

/// The official one-shot runs of Omniglot: every test image goes to the class of the nearest of the training images of its run.
///
/// # Shapes
/// Row i of `set` is example i of `official`.
///
/// # Units
/// Shares, in [0, 1]; the standard error is over the runs.
///
/// # Errors
/// [`Error::Setting`] if the numbers of rows and examples differ.
///
/// # Source
/// Lake, Salakhutdinov, Tenenbaum, Science 350 (2015).
pub fn one_shot(official: &OneShotRuns, set: &Embeddings, measure: Measure) -> Result<OneShot> {
    if set.len() != official.len() {
        let why = format!("{} embeddings are not those of {} images", set.len(), official.len());
        return Err(Error::Setting { setting: "omniglot-one-shot", why });
    }
    let judge = |run: &npair_data::OfficialRun| {
        let classes = || 0..run.training.len() as u32;
        let (training, test) = (chosen(set, &run.training, classes())?, chosen(set, &run.test, classes())?);
        OneShotRun::judge(run.name.clone(), &training, &test, measure)
    };
    OneShot::of(official.runs().iter().map(judge).collect::<Result<_>>()?)
}

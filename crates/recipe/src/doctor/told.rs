//! What a run's journal tells.

use crate::{Error, Result};
use npair_metrics::Interval;
use npair_train::EmbeddingLook;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// What a run wrote down while it trained.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Every step.
    pub steps: Vec<ToldStep>,
    /// Every validation of the weights themselves, not of their average: the score that the best was chosen by.
    pub scores: Vec<ToldScore>,
    /// Looks at the embeddings of some training examples, by step.
    pub looks: Vec<(u64, EmbeddingLook)>,
    /// The step, and what was not finite at it.
    pub diverged: Option<(u64, String)>,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct ToldStep {
    /// Steps done.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// Terms of the loss.
    pub terms: usize,
    /// Terms with a gradient.
    pub active: usize,
    /// The learning rate.
    pub learning_rate: f64,
    /// Its seconds.
    #[serde(default)]
    pub seconds: f64,
    /// Those of them that it waited for data.
    #[serde(default)]
    pub data_seconds: f64,
}

/// A validation.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldScore {
    /// After this step.
    pub step: u64,
    /// What was judged.
    pub set: String,
    /// Its classes.
    pub classes: u64,
    /// The name of the score.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its 95 % interval, if it has one.
    pub interval: Option<Interval>,
}

/// Scores by which a run's best model is chosen, the first that there is: those of [`npair_evaluate::RetrievalScores`].
const CHOSEN_BY: [&str; 2] = ["recall@1", "MRR"];

impl Told {
    /// Reads the journal of a run's folder; lines of other kinds are passed over. None is an empty one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::file(&path, error)),
        };
        let mut told = Self::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            told.take(line);
        }
        Ok(told)
    }

    fn take(&mut self, line: Value) {
        let step = line["step"].as_u64().unwrap_or(0);
        match line["kind"].as_str() {
            Some("step") => self.steps.extend(serde_json::from_value::<ToldStep>(line)),
            Some("evaluation") if line.get("of").is_none() => self.scores.extend(score(step, &line["scores"])),
            Some("embeddings") => self.looks.extend(serde_json::from_value(line).ok().map(|look| (step, look))),
            Some("diverged") => self.diverged = Some((step, line["what"].as_str().unwrap_or("a value").to_owned())),
            _ => {}
        }
    }

    /// Mean loss of the part of the steps between two shares of them: `(0.8, 1.)` for the last fifth; none without steps there.
    pub(super) fn mean_loss(&self, (from, to): (f64, f64)) -> Option<f64> {
        let part = self.part((from, to));
        (!part.is_empty()).then(|| part.iter().map(|step| step.loss).sum::<f64>() / part.len() as f64)
    }

    /// The steps between two shares of them.
    pub(super) fn part(&self, (from, to): (f64, f64)) -> &[ToldStep] {
        let at = |share: f64| ((share * self.steps.len() as f64).round() as usize).min(self.steps.len());
        &self.steps[at(from)..at(to).max(at(from))]
    }

    /// Mean loss of the first five steps.
    pub(super) fn first_loss(&self) -> Option<f64> {
        let first = &self.steps[..self.steps.len().min(5)];
        (!first.is_empty()).then(|| first.iter().map(|step| step.loss).sum::<f64>() / first.len() as f64)
    }

    /// The last step.
    pub fn last_step(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.step)
    }
}

fn score(step: u64, scores: &Value) -> Option<ToldScore> {
    let all = scores["scores"].as_array()?;
    let known = CHOSEN_BY.iter().find_map(|name| all.iter().find(|score| score["name"] == *name));
    let chosen = known.or_else(|| all.first())?;
    Some(ToldScore {
        step,
        set: scores["set"].as_str().unwrap_or("validation").to_owned(),
        classes: scores["classes"].as_u64().unwrap_or(0),
        name: chosen["name"].as_str()?.to_owned(),
        value: chosen["value"].as_f64()?,
        interval: serde_json::from_value(chosen["interval"].clone()).ok(),
    })
}

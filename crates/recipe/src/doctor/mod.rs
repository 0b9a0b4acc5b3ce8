//! What went wrong in a run: its journal and its embeddings as evidence, and of every finding the cure and what it costs.
//!
//! A rule speaks only where its evidence leaves no doubt: [`Grade::Fault`] for what makes a run worse than it could be,
//! [`Grade::Advice`] for what is worth knowing. Each rule says in its comment from where on it speaks, and why from there.

mod classes;
mod course;
mod gain;
mod seen;
mod space;
mod told;

pub use seen::Seen;
pub use told::{Told, ToldScore, ToldStep};

use crate::{Config, Result, Run};
use serde::Serialize;
use std::fmt;

/// What can be wrong with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The loss does not leave where guessing has it.
    NothingLearned,
    /// All embeddings are one point.
    Collapse,
    /// Embeddings lie in few directions of the many that there are.
    FewDirections,
    /// The loss rose again, jumped or was not finite.
    RateTooHigh,
    /// The weights hardly moved.
    RateTooLow,
    /// The miner leaves no tuple to learn from.
    NothingMined,
    /// Batches teach nothing any more, though the training classes are not told apart: N is too small.
    BatchesTooEasy,
    /// What the memory holds is of a network that is gone.
    MemoryTooOld,
    /// Unseen classes are told apart worse and worse while training classes are learned by heart.
    OverFitting,
    /// Embeddings grow without end.
    NormsRunAway,
    /// Training classes of which nothing is found.
    DeadClasses,
    /// Examples that look like another class than the one they have.
    LabelNoise,
    /// The same pictures are learned from and judged on.
    Leak,
    /// Training made worse what it began with.
    WorseThanBefore,
    /// The score still rose when the run ended.
    StillGaining,
    /// Steps wait for pictures.
    WaitsForData,
    /// Too few unseen classes to choose by.
    FewHeldOut,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// The run is worse for it.
    Fault,
    /// Worth knowing.
    Advice,
}

impl Fault {
    /// How much it matters.
    pub fn grade(self) -> Grade {
        match self {
            Self::StillGaining | Self::WaitsForData | Self::FewHeldOut => Grade::Advice,
            _ => Grade::Fault,
        }
    }

    /// What it is, in a line.
    pub fn title(self) -> &'static str {
        match self {
            Self::NothingLearned => "nothing is learned",
            Self::Collapse => "all embeddings are one point",
            Self::FewDirections => "embeddings use few of their directions",
            Self::RateTooHigh => "the learning rate is too high",
            Self::RateTooLow => "the learning rate is too low",
            Self::NothingMined => "the miner finds nothing to learn from",
            Self::BatchesTooEasy => "batches are too easy: N is too small",
            Self::MemoryTooOld => "the memory is older than the network",
            Self::OverFitting => "over-fitting: training classes are learned by heart",
            Self::NormsRunAway => "embeddings grow without end",
            Self::DeadClasses => "classes of which nothing is found",
            Self::LabelNoise => "labels look wrong",
            Self::Leak => "the same pictures are learned from and judged on",
            Self::WorseThanBefore => "training made it worse",
            Self::StillGaining => "the score was still rising",
            Self::WaitsForData => "steps wait for data",
            Self::FewHeldOut => "too few unseen classes to choose by",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).ok();
        f.write_str(name.as_ref().and_then(|name| name.as_str()).unwrap_or("fault"))
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub fault: Fault,
    /// How much it matters.
    pub grade: Grade,
    /// What was seen.
    pub evidence: String,
    /// What to do, with the settings' keys.
    pub cure: String,
    /// What that costs.
    pub cost: String,
}

impl Finding {
    fn new(fault: Fault, evidence: String, cure: impl Into<String>, cost: impl Into<String>) -> Self {
        Self { fault, grade: fault.grade(), evidence, cure: cure.into(), cost: cost.into() }
    }
}

/// A run as it is examined.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its settings.
    pub config: Config,
    /// What its journal tells.
    pub told: Told,
    /// What its embeddings show, where there is data to embed.
    pub seen: Option<Seen>,
    /// Examples with the same bytes on two sides of its split, and two of them.
    pub leaks: Option<(usize, [String; 2])>,
}

impl Case {
    /// Of a run's folder alone: nothing is embedded.
    ///
    /// # Errors
    /// If the folder is no run, or its files are damaged.
    pub fn of_run(run: &Run) -> Result<Self> {
        let record = crate::record::SplitRecord::read(run.folder())?;
        let leaks = record.and_then(|record| {
            let leaks = record.leaks();
            let (one, other) = leaks.first()?;
            Some((leaks.len(), [one.name.clone(), other.name.clone()]))
        });
        Ok(Self { config: run.config()?, told: Told::read(run.folder())?, seen: None, leaks })
    }

    /// The same with what its embeddings show.
    pub fn with(self, seen: Seen) -> Self {
        Self { seen: Some(seen), ..self }
    }

    /// What is wrong with it: faults first, the likeliest cause before what follows from it.
    pub fn examine(&self) -> Vec<Finding> {
        let rules = course::RULES.iter().chain(space::RULES).chain(classes::RULES).chain(gain::RULES);
        let mut found: Vec<Finding> = rules.filter_map(|rule| rule(self)).collect();
        found.sort_by_key(|finding| finding.grade == Grade::Advice);
        found
    }

    /// Recall@1 among the training classes, where they were looked at.
    fn recall_of_training(&self) -> Option<f64> {
        Some(self.seen.as_ref()?.recall)
    }
}

/// A rule: none where there is nothing wrong, or nothing to tell by.
type Rule = fn(&Case) -> Option<Finding>;

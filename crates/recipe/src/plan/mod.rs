//! Settings chosen from the data, where nobody wrote another value; each with its reason.

mod facts;
mod learning;
mod network;
mod pictures;
mod time;

pub use facts::{Facts, PictureFacts, PictureKind, PictureShape};
pub(crate) use time::take_time;

use crate::config::DataSource;
use crate::draft::{Draft, Given};
use crate::{Config, Result, open_source};
use serde::Serialize;
use std::fmt;

/// A setting that was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Its key, or the keys that were chosen together.
    pub key: &'static str,
    /// Its value, in words where it is a whole section.
    pub value: String,
    /// The reason.
    pub why: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22} {:<34} {}", self.key, self.value, self.why)
    }
}

/// What was found out of the data, and what was chosen by it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Plan {
    /// What the data is like; none where nothing was planned.
    pub facts: Option<Facts>,
    /// The choices, in the order in which they were made.
    pub choices: Vec<Choice>,
}

impl Plan {
    pub(crate) fn choose(&mut self, key: &'static str, value: impl Into<String>, why: impl Into<String>) {
        self.choices.push(Choice { key, value: value.into(), why: why.into() });
    }

    /// Says the batch as it is once the data is split, which may have left fewer classes to learn from.
    pub(crate) fn settle_batch(&mut self, config: &Config) {
        let settled = match (config.batch.classes, config.batch.per_class, config.data.views) {
            (labels, examples, 0) if config.data.label_separator.is_some() => learning::of_labels(labels, examples),
            (classes, per_class, 0) => format!("{classes} classes of {per_class}"),
            (pictures, views, _) => format!("{pictures} pictures in {views} views"),
        };
        for choice in self.choices.iter_mut().filter(|choice| choice.key == "batch" && choice.value != settled) {
            choice.value.clone_from(&settled);
            choice.why += "; no more are learned from";
        }
    }
}

/// Fills a draft by what its data is like: what can be chosen before the data is split and the network is made. Nothing is chosen
/// for settings made by a program, which says all of them.
pub(crate) fn by_the_data(draft: &mut Draft) -> Result<Plan> {
    let mut plan = Plan::default();
    if !draft.planned || draft.given == Given::All {
        return Ok(plan);
    }
    let facts = match draft.config.data.source {
        DataSource::Vectors { .. } => return Ok(plan),
        _ => Facts::of(open_source(&draft.config.data)?.as_ref()),
    };
    if draft.config.model.pretrained.is_some() {
        network::choose(draft, &mut plan)?;
    }
    if let Some(seen) = &facts.pictures {
        pictures::choose(draft, seen, &mut plan)?;
    }
    learning::choose(draft, &facts, &mut plan)?;
    plan.facts = Some(facts);
    Ok(plan)
}

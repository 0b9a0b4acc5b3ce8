//! What a page is made of. Everything but a run's name is optional, in JSON too.

mod examples;
mod run;
mod thumb;

pub use examples::{ClassRow, ConfusedPair, EmbeddingMap, MapPoint, QueryExample, ShownNeighbour};
pub use run::{BaselineKind, BaselineScores, Curves, RecallAt, RunPart, ScoreRow, SimilarityHistogram, ThresholdRow};
pub use thumb::{Thumb, ThumbKind};

use crate::Result;
use serde::{Deserialize, Serialize};

/// A report: one run, or several side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Its title; "npair report" if empty.
    pub title: String,
    /// When it was made, in words.
    pub made: String,
    /// Every picture that is shown, once: all others name it by its place here.
    pub pictures: Vec<Thumb>,
    /// The runs, in the order of their columns.
    pub runs: Vec<RunPart>,
    /// Differences between runs.
    pub comparison: Vec<Paired>,
    /// What has to be said about the whole.
    pub notes: Vec<String>,
}

impl Page {
    /// A report from its JSON, as serde writes this struct; pictures are base64.
    ///
    /// # Errors
    /// [`crate::Error::Json`] with line and column.
    pub fn from_json(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }

    /// The page: one HTML file that needs nothing else.
    ///
    /// # Errors
    /// No run, two runs of one name, numbers that are not finite or outside their range, pictures that are not there or not what
    /// they are said to be.
    pub fn html(&self) -> Result<String> {
        crate::check::page(self)?;
        Ok(crate::page::html(self))
    }
}

/// The difference of one score between two runs, on the same queries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paired {
    /// The first run's name.
    pub a: String,
    /// The second run's name.
    pub b: String,
    /// The score's name.
    pub score: String,
    /// The score of `a` minus that of `b`.
    pub difference: f64,
    /// Lower end of the difference's 95 % interval.
    pub low: Option<f64>,
    /// Upper end of the difference's 95 % interval.
    pub high: Option<f64>,
    /// The p-value, from 0 to 1.
    pub p: Option<f64>,
    /// What that means, in words.
    pub verdict: String,
}

//! Official protocols, each more than retrieval within a split.

mod identification;
mod lfw;
mod one_shot;
mod search;
mod within_groups;

pub use identification::{IdentificationSplit, identify};
pub use lfw::lfw_verification;
pub use one_shot::{OneShot, OneShotRun, one_shot};
pub use search::query_gallery;
pub use within_groups::{WithinGroups, one_shot_within_groups};

use crate::{Error, EvaluationConfig, Inputs, PictureInputs, QueryGallery, Result, Scores, Splits};
use npair_data::{Dataset, InShop, Lfw, OneShotRuns, Pipeline};
use npair_metrics::Embeddings;
use npair_types::{ExampleId, Labels, Purpose, Streams};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// A protocol by its name, with the data that it is of.
///
/// ```
/// # use npair_evaluate::protocol::Protocol;
/// assert_eq!("lfw=faces/lfw".parse(), Ok(Protocol::Lfw("faces/lfw".into())));
/// assert!("lwf=faces".parse::<Protocol>().unwrap_err().contains("omniglot-one-shot=PATH"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `lfw=DIR`: verification over the folds of `pairs.txt`, and identification on a split of our own.
    Lfw(PathBuf),
    /// `omniglot-one-shot=PATH`: the official runs.
    OmniglotOneShot(PathBuf),
    /// `in-shop=DIR`: its queries in its gallery.
    InShop(PathBuf),
    /// `query-gallery`: the same on a run's own data.
    QueryGallery,
    /// `one-shot-within-groups` or `one-shot-within-groups=RUNS`: one-shot runs drawn from a split.
    OneShotWithinGroups(WithinGroups),
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let path = || {
            value.filter(|v| !v.is_empty()).map(PathBuf::from).ok_or(format!("`{name}` lacks its path: {name}=PATH"))
        };
        match (name, value) {
            ("lfw", _) => Ok(Self::Lfw(path()?)),
            ("omniglot-one-shot", _) => Ok(Self::OmniglotOneShot(path()?)),
            ("in-shop", _) => Ok(Self::InShop(path()?)),
            ("query-gallery", None) => Ok(Self::QueryGallery),
            ("one-shot-within-groups", None) => Ok(Self::OneShotWithinGroups(WithinGroups::default())),
            ("one-shot-within-groups", Some(runs)) => {
                let runs = runs.parse().map_err(|_| format!("`{runs}` is no number of runs"))?;
                Ok(Self::OneShotWithinGroups(WithinGroups { runs, ..WithinGroups::default() }))
            }
            _ => Err(format!(
                "`{text}` is none of lfw=DIR, omniglot-one-shot=PATH, in-shop=DIR, query-gallery, one-shot-within-groups[=RUNS]"
            )),
        }
    }
}

/// Embeds every example.
pub type Embed<'a> = dyn FnMut(&dyn Inputs) -> Result<Embeddings> + 'a;

impl Protocol {
    /// Whether it judges a split of a run's data, and not data of its own.
    pub fn judges_a_split(&self) -> bool {
        matches!(self, Self::QueryGallery | Self::OneShotWithinGroups(_))
    }

    /// Runs a protocol on data of its own, whose pictures the pipeline makes into pixels.
    ///
    /// # Errors
    /// Those of the data, the embedding and the scores; [`Error::Setting`] if the protocol judges a split.
    pub fn judge(
        &self,
        pipeline: &Pipeline,
        embed: &mut Embed<'_>,
        config: &EvaluationConfig,
        streams: Streams,
    ) -> Result<Scores> {
        let inputs = |data: Arc<dyn Dataset>| PictureInputs::new(data, pipeline.clone());
        match self {
            Self::Lfw(path) => {
                let faces = Arc::new(Lfw::open(path)?);
                let pairs = faces.pairs()?;
                let set = embed(&inputs(faces.clone()))?;
                let mut scores = lfw_verification(&faces, &pairs, &set, config.measure)?;
                let identified = identify(&set, config.measure, streams)?;
                scores.scores.extend(identified.scores);
                scores.notes.splice(0..0, faces.notes());
                scores.notes.extend(identified.notes);
                Ok(scores)
            }
            Self::OmniglotOneShot(path) => {
                let runs = Arc::new(OneShotRuns::open(path)?);
                let set = embed(&inputs(runs.clone()))?;
                let found = one_shot(&runs, &set, config.measure)?;
                let mut scores = found.scores(runs.name(), config.measure, set.len(), set.labels().classes().len());
                scores.notes = runs.notes();
                Ok(scores)
            }
            Self::InShop(path) => {
                let all: Arc<dyn Dataset> = Arc::new(InShop::open(path)?);
                let search = QueryGallery::of(all.as_ref());
                let search = search.ok_or_else(|| wrong(format!("{} has no queries and gallery", all.name())))?;
                let mut ids = [search.queries.as_slice(), &search.gallery].concat();
                ids.sort_unstable();
                let test = Arc::new(npair_data::Subset::new(all.clone(), "test", ids)?);
                let mut scores = judge_search(&inputs(test), embed, config)?;
                scores.notes.splice(0..0, all.notes());
                Ok(scores)
            }
            Self::QueryGallery | Self::OneShotWithinGroups(_) => {
                Err(wrong("this protocol judges a split of a run's data".to_owned()))
            }
        }
    }

    /// Runs a protocol on a split of a run's data.
    ///
    /// # Errors
    /// Those of the data, the embedding and the scores; [`Error::Setting`] if the data does not fit the protocol or the protocol
    /// has data of its own.
    pub fn judge_split(
        &self,
        splits: &Splits,
        split: &str,
        embed: &mut Embed<'_>,
        config: &EvaluationConfig,
        streams: Streams,
    ) -> Result<Scores> {
        let side = splits.named(split)?.as_ref();
        match self {
            Self::QueryGallery => judge_search(side, embed, config),
            Self::OneShotWithinGroups(how) => {
                let pictures = pictures_of(side)?;
                let set = embed(side)?;
                let mut rng = streams.open(Purpose::Evaluation, [5, 0]);
                let found = one_shot_within_groups(pictures, &set, config.measure, *how, &mut rng)?;
                let mut scores = found.scores(side.name(), config.measure, set.len(), set.labels().classes().len());
                if side.labels().classes().iter().all(|&class| pictures.group(class).is_none()) {
                    scores.notes.push("the data set knows no groups: all classes are one".to_owned());
                }
                Ok(scores)
            }
            _ => Err(wrong("this protocol has data of its own".to_owned())),
        }
    }
}

fn pictures_of(side: &dyn Inputs) -> Result<&dyn Dataset> {
    side.pictures().ok_or_else(|| wrong(format!("{} holds no pictures: leave --protocol out", side.name())))
}

fn judge_search(side: &dyn Inputs, embed: &mut Embed<'_>, config: &EvaluationConfig) -> Result<Scores> {
    let search = QueryGallery::of(pictures_of(side)?).ok_or_else(|| {
        wrong(format!(
            "the official split of {} has no queries apart from a gallery: leave --protocol out",
            side.name()
        ))
    })?;
    query_gallery(side.name(), &embed(side)?, &search, config)
}

fn wrong(why: String) -> Error {
    Error::Setting { setting: "protocol", why }
}

/// Chosen rows of a set under labels of their own: row i is `examples[i]` of class `classes[i]`.
fn chosen(set: &Embeddings, examples: &[ExampleId], classes: impl IntoIterator<Item = u32>) -> Result<Embeddings> {
    let rows: Vec<usize> = examples.iter().map(|e| e.0).collect();
    Ok(set.select(&rows, Labels::new(classes)?)?)
}

/// Chosen rows with their labels.
fn labeled(set: &Embeddings, examples: &[ExampleId]) -> Result<Embeddings> {
    chosen(set, examples, examples.iter().map(|e| set.labels().get(e.0).0))
}

//! Embed a data set with any model, and judge embeddings: retrieval, verification, identification, clustering, and official
//! protocols. Nothing here trains.
//!
//! [`Inputs`] say what a model is fed with ([`PictureInputs`], [`VectorInputs`], your own), [`embed`] makes [`Vectors`] of
//! them with any [`EmbeddingModel`](npair_backbones::EmbeddingModel), [`judge`] and [`protocol`] score them; a [`Metric`] is
//! what a validation while training judges by.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod hostile;
pub mod protocol;

mod baselines;
mod embed;
mod error;
mod files;
mod inputs;
mod judge;
mod label_sets;
mod metric;
mod neighbours;
mod part;
mod settings;
mod splits;
mod suspects;
mod ten_folds;
mod vectors;

pub use baselines::Baseline;
pub use embed::{Predictor, TestTimeAugmentation, embed, embed_ids, embed_to_judge, predictor, predictor_on};
pub use error::{Error, Result};
pub use files::{check_free, check_seal, seal, write_file};
pub use inputs::{FeatureInputs, Inputs, Loader, PictureInputs, SampledInputs, VectorInputs, View, ViewInputs, loader};
pub use judge::{RetrievalScores, Score, Scores, judge, judge_known};
pub use label_sets::{LabelSetScores, judge_label_sets};
pub use metric::Metric;
pub use neighbours::neighbor_grid;
pub use part::{EmbeddingJob, OtherPart, PartFile};
pub use settings::{EvaluationConfig, TtaConfig};
pub use splits::{QueryGallery, Splits};
pub use suspects::{AlikePair, SuspectLabel, alike_across_classes, suspect_labels};
pub use vectors::{Vectors, read_embeddings, read_labels};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! A folder that finds pictures again by their embeddings.
//!
//! An [`Index`] keeps vectors, a row for each (path, class, time, thumbnail), thresholds, and the folder of the model that made
//! the vectors. It is searched exactly, and changed in steps that a kill cannot break. It never embeds: callers bring vectors.
#![forbid(unsafe_code)]

mod error;
mod expansion;
mod export;
mod files;
mod graph;
pub mod group;
#[doc(hidden)]
pub mod hostile;
mod index;
mod lock;
mod manifest;
mod model;
mod parquet_file;
mod refinement;
mod reranking;
mod row;
mod settings;
mod table;
mod tensor;
mod thumbnails;

pub use error::{Error, Result};
pub use expansion::QueryExpansion;
pub use export::{Export, Imported, import_parquet};
pub use graph::{GraphReport, GraphSettings, GraphState};
pub use index::{Added, Answer, Index};
pub use model::copy_folder;
pub use refinement::{Refinement, RefinementTrial};
pub use reranking::Reranking;
pub use row::{IndexRow, NewRow, RowFilter};
pub use settings::IndexSettings;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

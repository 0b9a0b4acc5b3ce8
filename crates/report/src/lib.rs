//! One self-contained HTML page about trained embedding models, and the maps to the plane that it shows.
//!
//! | what | where |
//! |---|---|
//! | what a page is made of: plain numbers, texts and thumbnails, from JSON too | [`Page`], [`RunPart`] |
//! | the page, one `String` | [`Page::html`] |
//! | maps of embeddings | [`pca`], [`tsne`] |
//!
//! The page asks nobody for anything: its style, its script and its pictures are inside, and its Content-Security-Policy forbids the
//! rest. It can be read on a phone, in the dark, on paper, by keyboard and by ear; the script adds reading off values and the map's
//! filter, nothing more. Every text that is handed in is shown as text. A section without data is left out.
//!
//! Files are the caller's business, and so are statistics: intervals and p-values come in as numbers.
#![forbid(unsafe_code)]

mod check;
mod coded;
mod error;
mod input;
mod map;
mod page;
mod plot;
mod section;
mod text;

pub use error::{Error, Result};
pub use input::{
    BaselineKind, BaselineScores, ClassRow, ConfusedPair, Curves, EmbeddingMap, MapPoint, Page, Paired, QueryExample,
    RecallAt, RunPart, ScoreRow, ShownNeighbour, SimilarityHistogram, ThresholdRow, Thumb, ThumbKind,
};
pub use map::{MOST_ROWS, Tsne, pca, tsne};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

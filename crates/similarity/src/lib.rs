//! The pairwise similarity matrix: every loss, metric and miner of metric learning is a reduction over it.
//!
//! [`Similarity`] is a lazy view of (queries, gallery, measure) on tensors. [`Similarity::dense`] gives the matrix;
//! [`Similarity::log_sum_exp`] and its relatives reduce it with gradients and never store it. [`Rows`] is the same view
//! on plain slices, for [`top_k`](Rows::top_k), [`row_max`](Rows::row_max) and [`ranks`](Rows::ranks), which need no
//! gradient. Entries are *closeness*: larger is nearer, for every [`Measure`](npair_types::Measure).

mod dense;
mod element;
mod error;
mod mask;
mod pass;
mod product;
mod ranks;
mod reduction;
mod rows;
mod similarity;
mod tiles;
mod top_k;
mod vectors;

pub use element::Element;
pub use error::{Error, Result};
pub use mask::Mask;
pub use ranks::Nearest;
pub use rows::Rows;
pub use similarity::Similarity;
pub use top_k::{Exclude, Neighbours};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

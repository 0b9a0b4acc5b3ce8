//! The pairwise similarity matrix: every loss, metric and miner of metric learning is a reduction over it.
//!
//! [`Similarity`] is a lazy view of (queries, gallery, measure) on tensors. [`Similarity::dense`] gives the matrix;
//! [`Similarity::log_sum_exp`] and its relatives reduce it with gradients and never store it. [`Rows`] is the same view
//! on plain slices, for [`top_k`](Rows::top_k), also of a gallery [in pieces](Rows::top_k_in_pieces), [`within`](Rows::within), [`closest`](Rows::closest), [`row_max`](Rows::row_max), [`ranks`](Rows::ranks)
//! and [`map_class_ranks`](Rows::map_class_ranks), which need no gradient, and for [`map_lines`](Rows::map_lines), whatever a miner may ask of a row. [`Cosines`] keeps the matrix of a
//! batch with itself and further rows, for losses that need every entry more than once. Entries are *similarity*: larger is nearer, for every [`Measure`](npair_types::Measure).
//!
//! With the feature `cuda` or `metal` the reductions and searches of a [`Similarity`] run on the GPU that its tensors are on, by
//! kernels that do not store the matrix either.

mod class_ranks;
mod closest;
mod coarse;
mod cosines;
mod dense;
mod device;
mod element;
mod error;
mod lines;
mod mask;
mod pairwise;
mod pass;
mod product;
mod ranks;
mod reduction;
pub mod row;
mod rows;
mod seen_from;
mod similarity;
mod sweep;
mod tiles;
mod top_k;
mod unit;
mod vectors;

pub use closest::Closest;
pub use cosines::Cosines;
pub use device::{Extremes, Precision};
pub use element::Element;
pub use error::{Error, Result};
pub use mask::Mask;
pub use pairwise::PairwiseSimilarity;
pub use ranks::Nearest;
pub use rows::Rows;
pub use similarity::Similarity;
pub use top_k::{Exclude, Neighbors};
pub use unit::UnitRows;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

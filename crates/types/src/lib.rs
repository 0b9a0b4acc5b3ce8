//! The nouns of metric learning, checked once: [`Labels`], [`Pairs`], [`Triplets`], [`Tuplets`], [`Measure`],
//! the [`ClassIndex`] of a data set and the seeded random [`Streams`] of a run. No algorithms, no tensors.
//!
//! Letters in shapes are fixed for the whole workspace: B batch, N pairs, C classes, M examples per class,
//! D embedding width, Q queries, G gallery, K rank.
#![forbid(unsafe_code)]

mod class_index;
mod error;
mod labels;
mod measure;
mod pairs;
mod streams;
mod triplets;
mod tuplets;

pub use class_index::ClassIndex;
pub use error::{Error, Result};
pub use labels::{ClassId, ExampleId, Labels};
pub use measure::Measure;
pub use pairs::Pairs;
pub use rand_chacha::ChaCha8Rng;
pub use streams::{Purpose, Streams};
pub use triplets::Triplets;
pub use tuplets::Tuplets;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

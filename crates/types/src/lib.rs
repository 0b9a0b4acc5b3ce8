//! The nouns of metric learning, checked once: [`Labels`], [`Pairs`], [`Triplets`], [`Tuplets`], [`PairList`], all of
//! them [`Tuples`], [`Measure`], the [`ImageSize`] that a network takes,
//! classes that are [`LabelSets`],
//! the [`ClassIndex`] of a data set, the seeded random [`Streams`] of a run, and the [`Settings`] of a part. No algorithms, no
//! tensors.
//!
//! Letters in shapes are fixed for the whole workspace: B batch, N pairs, C classes, M examples per class,
//! D embedding width, Q queries, G gallery, K rank.
#![forbid(unsafe_code)]

// So that `settings!` finds this crate by one name here and elsewhere.
extern crate self as npair_types;

mod class_index;
mod error;
mod image_size;
mod label_sets;
mod labels;
mod measure;
mod pair_list;
mod pairs;
mod settings;
mod streams;
mod triplets;
mod tuples;
mod tuplets;

pub use class_index::ClassIndex;
pub use error::{Error, Result};
pub use image_size::ImageSize;
pub use label_sets::LabelSets;
pub use labels::{ClassId, ExampleId, Labels};
pub use measure::Measure;
pub use pair_list::PairList;
pub use pairs::Pairs;
pub use rand_chacha::ChaCha8Rng;
#[doc(hidden)]
pub use serde as __serde;
pub use settings::{Field, Settings};
pub use streams::{Purpose, Streams};
pub use triplets::Triplets;
pub use tuples::{TupleKind, Tuples};
pub use tuplets::Tuplets;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

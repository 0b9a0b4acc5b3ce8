//! Images for metric learning: data sets, class-disjoint splits, transforms, prefetch and a built-in procedural glyph
//! set. Pixels leave this crate as `Vec<f32>` and a shape; tensors are the caller's.
//!
//! * **Where pictures come from**: a [`Dataset`] is cheap to open and decodes on demand. [`GlyphSet`] makes its own,
//!   [`ImageFolder`] takes a folder per class, [`OmlCsv`] a table; [`Omniglot`], [`Cub`], [`Cars196`], [`OnlineProducts`],
//!   [`InShop`], [`WebFace`] and [`Lfw`] read the official layouts and know the [official split](OfficialSide); [`LfwPairs`]
//!   and [`OneShotRuns`] are the official lists of pairs and of one-shot runs.
//! * **Which of them**: a [`Subset`] is a view of chosen examples, [`split()`] and [`folds`] make disjoint ones,
//!   [`RotatedClasses`] makes classes of the right-angle rotations, [`Unlabeled`] one of every picture, which [`Views`] shows several
//!   times, [`check()`] finds what does not decode,
//!   [`mirror_symmetry`] whether flips change classes.
//! * **What a network sees**: a [`Pipeline`] turns a [`Picture`] into normalised f32 (C, H, W), with or without random
//!   changes.
//! * **In time**: [`Prefetch`] decodes and augments ahead of the step, [`load_batch`] does it now, [`Cached`] keeps
//!   decoded pictures. None of the three changes a bit of what comes out.
#![forbid(unsafe_code)]

mod batch;
mod cached;
mod check;
mod dataset;
mod decode;
mod draw;
mod error;
mod folder;
mod glyphs;
mod label_set_classes;
mod lfw_pairs;
mod loose;
mod mirror;
mod official;
mod omniglot;
mod picture;
mod power;
mod prefetch;
mod regular;
mod rotated;
mod split;
mod subset;
mod thumbnail;
mod transform;
mod turn;
mod twins;
mod unlabeled;
mod walk;

#[doc(hidden)]
pub mod hostile;
pub mod sheet;

pub use batch::{LoadedBatch, load_batch, load_rows, load_view};
pub use cached::Cached;
pub use check::{BadExample, ClassCount, Report, Skipped, check, skip_bad};
pub use dataset::Dataset;
pub use decode::{DECODING_BYTES, MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE};
pub use error::{Error, Result};
pub use folder::ImageFolder;
pub use glyphs::{GlyphConfig, GlyphSet};
pub use label_set_classes::LabelSetClasses;
pub use lfw_pairs::{LfwImage, LfwPair, LfwPairs};
pub use loose::LoosePictures;
pub use mirror::{MirrorSymmetry, mirror_symmetry};
pub use official::{
    Cars196, Cub, InShop, Lfw, OfficialRun, OfficialSide, OmlCsv, OneShotRuns, OnlineProducts, WebFace, separator_of,
};
pub use omniglot::{Omniglot, Part};
pub use picture::Picture;
pub use prefetch::Prefetch;
pub use regular::read_regular;
pub use rotated::RotatedClasses;
pub use split::{Amount, ClassFold, Parts, SplitConfig, folds, split};
pub use subset::Subset;
pub use transform::{AugmentConfig, Channels, Fill, Filter, Pipeline, PipelineConfig, RandAugment, Resize};
pub use twins::{Likeness, Orientation, Stand, Twins, check_twins};
pub use unlabeled::{Unlabeled, Views};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Settings to parts: npair's TOML configuration ([`Config`]), and training made of it ([`Training`]). The engine below,
//! `npair-train`, knows no settings file; an engineer who brings parts of their own starts there.
//!
//! The [`registry`] has one row per loss, miner and regularizer: their names, settings and defaults, of which the guide's settings
//! page is written.
#![forbid(unsafe_code)]

pub mod config;
pub mod doctor;
pub mod registry;

mod device;
mod draft;
mod error;
mod examples;
pub mod export;
mod fit;
mod frozen;
mod label_sets;
mod limits;
mod objective;
mod page;
mod plan;
mod pretrained;
mod ranks;
pub mod record;
pub mod report;
mod resumed;
mod run;
mod sampler;
pub mod scaling;
mod splits;
mod training;
mod unlabeled;
mod verifier;
mod watch;
mod without_effect;

pub use config::Config;
pub use device::Device;
pub use draft::{Draft, Given};
pub use error::{Error, Kind, Result};
pub use examples::open_source;
pub use frozen::Progress;
pub use label_sets::label_sets;
pub use npair_train::Which;
pub use page::settings_tables;
pub use plan::{Choice, Facts, PictureFacts, PictureKind, PictureShape, Plan};
pub use run::Run;
pub use splits::{Whose, open_all, open_files, open_for_run, open_splits};
pub use training::{Training, first_embeddings};
pub use verifier::{LearnedVerifier, THRESHOLDS, learns_thresholds};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

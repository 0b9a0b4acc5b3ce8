//! The engine of npair as a library: configuration, the training loop, optimisers, checkpoints with exact resume, and the
//! protocols that judge a run. The `npair` command is a thin shell around it.
//!
//! A run is one folder: `config.toml` (resolved), `metrics.jsonl`, `checkpoints/last/` and `checkpoints/best/`, each with a
//! Hub-style `config.json` and `model.safetensors` that other tools can read.
#![forbid(unsafe_code)]

pub mod config;
pub mod protocol;

mod checkpoint;
mod device;
mod device_bench;
mod device_check;
mod embed;
mod error;
mod evaluate;
mod files;
mod grad_cache;
mod journal;
mod losses;
mod mined;
mod neighbours;
mod objective;
mod optimiser;
mod plan;
mod pretrained;
mod probe;
mod run;
mod sampler;
mod schedule;
mod sides;
mod taught;
mod ten_folds;
mod trainer;
mod vectors;

pub use config::Config;
pub use device::Device;
pub use device_bench::{Scale, Timed, Work, bench_device};
pub use device_check::{Check, check_device};
pub use embed::{Views, embed, predictor, predictor_on};
pub use error::{Error, Kind, Result};
pub use evaluate::{Score, Scores, judge, judge_known};
pub use grad_cache::GradCache;
pub use neighbours::neighbour_sheet;
pub use npair_nn::keep_freed_memory;
pub use optimiser::{Moved, Optimiser};
pub use run::{Run, Which};
pub use sides::{QueryGallery, Side, Sides, open_source};
pub use taught::PartReport;
pub use trainer::{Outcome, StepReport, Trainer, Watch};
pub use vectors::{Vectors, read_labels};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

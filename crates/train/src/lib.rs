//! The engine of npair: any model, any inputs, any loss, sampler, miner, optimizer, schedule, metric and callback, put together
//! by [`Trainer::builder`] and trained with exact resume. It knows no settings file: `npair-recipe` makes parts of one.
//!
//! A run is one folder: `metrics.jsonl`, `checkpoints/last/` and `checkpoints/best/`, each with a `model.safetensors` that other
//! tools can read.
//!
//! # The whole path
//! ```
//! use candle_core::{DType, Device};
//! use npair_backbones::{VectorNet, VectorNetConfig};
//! use npair_batch::NPairSampler;
//! use npair_evaluate::{RetrievalScores, VectorInputs};
//! use npair_losses::NPairMc;
//! use npair_train::{Adam, AdamSettings, Cosine, EarlyStopping, Inputs, Purpose, Streams, Trainer, every};
//! use npair_types::{ExampleId, Labels};
//! use rand::Rng;
//!
//! // Forty classes of four vectors around a center of their own; the last ten are for choosing the best model.
//! let streams = Streams::new(7);
//! let mut rng = streams.open(Purpose::Synthesis, [0, 0]);
//! let centers: Vec<[f32; 8]> = (0..40).map(|_| std::array::from_fn(|_| rng.random())).collect();
//! let values = (0..160).flat_map(|i| centers[i / 4]).map(|v| v + 0.1 * rng.random::<f32>()).collect();
//! let all = VectorInputs::new("made up", values, 8, Labels::new((0..160u32).map(|i| i / 4))?)?;
//! let part = |name, from, to| all.subset(name, &(from..to).map(ExampleId).collect::<Vec<_>>());
//! let (train, val) = (part("train", 0, 120)?, part("val", 120, 160)?);
//!
//! let model = VectorNet::new(VectorNetConfig::linear(8, 4), streams, DType::F32, &Device::Cpu)?;
//! let sampler = NPairSampler::new(train.class_index(), 12, streams.open(Purpose::Sampling, [0, 0]))?;
//! let folder = tempfile::tempdir()?;
//! let mut trainer = Trainer::builder(model, train)
//!     .sampler(sampler)
//!     .loss(NPairMc)
//!     .optimizer(Adam::new(AdamSettings { learning_rate: 0.01, ..Default::default() })?)
//!     .schedule(Cosine::default())
//!     .validate(val, RetrievalScores::new(10, streams), every(5))
//!     .select_by("MAP@R")
//!     .callback(EarlyStopping::patience(3))
//!     .steps(20)
//!     .build(folder.path().join("run"))?;
//! let outcome = trainer.fit()?;
//! assert!(outcome.best > Some(0.5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod builder;
mod callback;
mod checkpoint;
mod error;
mod event_file;
mod files;
mod folder;
mod grad_cache;
mod journal;
mod objective;
mod optimizer;
mod planner;
mod ranks;
mod report;
mod schedule;
mod trainer;

pub use builder::TrainerBuilder;
pub use callback::{
    Callback, Drift, EarlyStopping, EmbeddingLook, EmbeddingWatch, LossWatch, Moment, PairProbe, PartState, StuckLoss,
    WeightAverage,
};
#[doc(hidden)]
pub use checkpoint::accepts_state;
pub use error::{Error, Result};
pub use folder::{RunFolder, Which};
pub use grad_cache::GradCache;
pub use npair_backbones::{EmbeddingModel, Mode};
pub use npair_collective::{Alone, Collective, Shards, Tag};
pub use npair_evaluate::{Inputs, Metric};
pub use npair_nn::keep_freed_memory;
pub use npair_types::{Purpose, Streams};
pub use objective::RowsOf;
pub use optimizer::{
    Adam, AdamSettings, Adan, AdanSettings, Decay, Lion, LionSettings, Moved, Optimizer, ParameterGroup, Sgd,
    SgdSettings, Update, Updater,
};
pub use ranks::Ranks;
pub use report::{Outcome, PartReport, StepReport};
pub use schedule::{Constant, Cosine, MultiStep, Plateau, PlateauSettings, Schedule};
pub use trainer::{Every, Trainer, every};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/writing-a-loss.md")]
struct WritingALoss;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/writing-a-sampler.md")]
struct WritingASampler;

//! The settings of a run, as `config.toml` holds them. Every setting has a default, unknown keys are errors.

mod beyond;
mod choice;
mod data;
mod learning;
mod loss;
mod miner;
mod read;
mod renamed;
pub(crate) mod written;

pub use beyond::{MemoryConfig, RegularizedRows, RegularizerConfig};
pub use choice::Choice;
pub use data::{DataConfig, DataSource};
pub use learning::{
    GroupConfig, ModelSettings, OptimizerConfig, OptimizerName, PrecisionConfig, ScheduleConfig, ScheduleName,
    TrainingConfig,
};
pub use loss::{BatchConfig, LossConfig, PartConfig, SumSettings};
pub use miner::MinerConfig;
pub use npair_evaluate::{EvaluationConfig, TtaConfig};

use crate::Device;
use npair_data::{Pipeline, PipelineConfig};
use npair_losses::NormPenaltySettings;
use serde::{Deserialize, Serialize};

/// All settings of a run.
///
/// ```
/// # use npair_recipe::Config;
/// let config = Config::parse("here", "seed = 3\n[loss]\nname = \"n-pair-ovo\"", &["batch.classes=12".into()])?;
/// assert_eq!((config.seed, config.batch.classes), (3, 12));
/// let wrong = Config::parse("here", "[training]\nstep = 100", &[]).unwrap_err().to_string();
/// assert_eq!(wrong, "here: unknown key `step` in [training]; did you mean `steps`?");
/// # Ok::<(), npair_recipe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seed of everything random: weights, batches, mining, augmentation, dropout, splits.
    pub seed: u64,
    /// What computes: `cpu`, `cuda`, `cuda:1`, `metal`, ... Judging and embedding later may use another.
    pub device: Device,
    /// Where examples come from, and their split.
    pub data: DataConfig,
    /// From picture to pixels. Without it: pen strokes at 28 x 28 for the glyph set and Omniglot, colour photographs at
    /// 64 x 64 for all others.
    pub images: Option<PipelineConfig>,
    /// The network.
    pub model: ModelSettings,
    /// The loss.
    pub loss: LossConfig,
    /// Which tuples of a batch the loss looks at; those of the loss itself by default.
    pub miner: Option<MinerConfig>,
    /// Regularization of the embeddings' norms.
    pub norm_penalty: NormPenaltySettings,
    /// Other regularizers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regularizer: Vec<RegularizerConfig>,
    /// Embeddings of the last batches as further rows to compare with.
    pub memory: MemoryConfig,
    /// Batches and class mining.
    pub batch: BatchConfig,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
    /// How long, and how often to look.
    pub training: TrainingConfig,
    /// How a run is judged.
    pub evaluation: EvaluationConfig,
    /// Test-time augmentation: how often an example is looked at when a run is judged or embeds.
    pub tta: TtaConfig,
}

impl Config {
    /// The image pipeline: the given one, or the source's usual one.
    pub fn images(&self) -> PipelineConfig {
        self.images.clone().unwrap_or_else(|| self.data.source.usual_images())
    }

    /// The image pipeline, made.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the key that is out of range.
    pub fn pipeline(&self) -> crate::Result<Pipeline> {
        Pipeline::new(self.images()).map_err(|error| match error {
            npair_data::Error::Setting { key, value, why } => {
                crate::Error::Config { place: format!("images.{key}"), why: format!("{value} is not possible: {why}") }
            }
            other => other.into(),
        })
    }
}

use npair_backbones::Output;
use serde::{Deserialize, Serialize};

/// The network: the small ConvNet and its head. Image size and channels are those of `[images]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Filters of every block.
    pub width: usize,
    /// Number of blocks; each halves the image.
    pub blocks: usize,
    /// D, the width of an embedding.
    pub embedding: usize,
    /// Dropout before the head.
    pub dropout: f64,
    /// `raw` as in the paper, or `unit-length`.
    pub output: Output,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { width: 64, blocks: 4, embedding: 64, dropout: 0., output: Output::Raw }
    }
}

/// The optimiser, by name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimiserConfig {
    /// `adam` or `sgd`.
    pub name: OptimiserName,
    /// Learning rate at full height of the schedule.
    pub learning_rate: f64,
    /// Adam's decay rates.
    pub betas: [f64; 2],
    /// Adam's epsilon.
    pub epsilon: f64,
    /// SGD's momentum.
    pub momentum: f64,
    /// Decay of the weights per step, times the learning rate (decoupled); on matrices and filters only.
    pub weight_decay: f64,
    /// Largest Euclidean norm of the whole gradient; 0 for none.
    pub clip_norm: f64,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: usize,
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimiserName {
    /// Adam (Kingma and Ba, 2015).
    Adam,
    /// Gradient descent with momentum.
    Sgd,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self {
            name: OptimiserName::Adam,
            learning_rate: 3e-3,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            momentum: 0.9,
            weight_decay: 0.,
            clip_norm: 0.,
            accumulate: 1,
        }
    }
}

/// The learning rate over the steps, as a factor of `optimiser.learning_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// `cosine`, `step` or `constant`.
    pub name: ScheduleName,
    /// Steps over which the rate rises linearly from 0.
    pub warm_up: u64,
    /// Cosine: the factor at the end.
    pub floor: f64,
    /// Step: steps at which the rate falls.
    pub milestones: Vec<u64>,
    /// Step: the factor of each fall.
    pub factor: f64,
}

/// Which schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// Half a cosine from 1 to `floor`.
    Cosine,
    /// Times `factor` at each milestone.
    Step,
    /// 1.
    Constant,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { name: ScheduleName::Cosine, warm_up: 0, floor: 0., milestones: Vec::new(), factor: 0.1 }
    }
}

/// How long, and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Number of steps.
    pub steps: u64,
    /// Steps between evaluations on the validation split; 0 for none.
    pub eval_every: u64,
    /// Steps between checkpoints; the last step always makes one.
    pub checkpoint_every: u64,
    /// Steps between measurements of the N-pair loss on fixed pairs (of `known` examples, else of `val`, else of `train`), from
    /// step 0 on; 0 for none.
    pub probe_every: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { steps: 1000, eval_every: 250, checkpoint_every: 250, probe_every: 0 }
    }
}

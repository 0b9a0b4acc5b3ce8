use npair_backbones::{BackboneConfig, Output};
use serde::{Deserialize, Serialize};

/// The network and its head. Image size and channels are those of `[images]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Filters of every block of the small ConvNet.
    pub width: usize,
    /// Number of blocks of the small ConvNet; each halves the image.
    pub blocks: usize,
    /// D, the width of an embedding.
    pub embedding: usize,
    /// Dropout before the head.
    pub dropout: f64,
    /// `raw` as in the paper, or `unit-length`.
    pub output: Output,
    /// Weights that the backbone starts from: a folder, a `.safetensors` or `.pth` file, or `hub:OWNER/NAME@REVISION#FILE`;
    /// drawn at random without. Read when the run starts; a resumed one has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// What does not train, by the beginning of its name, up to a dot: `backbone`, `backbone.block1`, ...
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Another network than the small ConvNet, as `config.json` has it: `{ architecture = "..." }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneConfig>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            width: 64,
            blocks: 4,
            embedding: 64,
            dropout: 0.,
            output: Output::Raw,
            pretrained: None,
            freeze: Vec::new(),
            backbone: None,
        }
    }
}

/// The optimiser, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Parts of the network (and of the loss) with a rate or decay of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<GroupConfig>,
}

/// A part of the network that learns at another rate. Where several fit, the longest prefix counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// The beginning of the names, up to a dot: `head`, `backbone.block1`, `loss`.
    pub prefix: String,
    /// Times the learning rate; 1.
    #[serde(default = "one")]
    pub lr_scale: f64,
    /// Times the weight decay; 1.
    #[serde(default = "one")]
    pub decay_scale: f64,
}

fn one() -> f64 {
    1.
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
            group: Vec::new(),
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Examples that pass through the network at a time, twice each (see [`GradCache`](crate::GradCache)): a batch takes no
    /// more memory than this many; 0 for the whole batch at once.
    pub grad_cache: usize,
    /// What may stay without a gradient, by the beginning of its name; anything else without one ends the run at its first step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_dead: Vec<String>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            eval_every: 250,
            checkpoint_every: 250,
            probe_every: 0,
            grad_cache: 0,
            allow_dead: Vec::new(),
        }
    }
}

use crate::Device;
use crate::{Error, Result};
use npair_backbones::{BackboneConfig, NetPrecision, Output, sixteen_bit_products};
use npair_train::{
    Adam, AdamSettings, Adan, AdanSettings, Constant, Cosine, Lion, LionSettings, MultiStep, Optimizer, ParameterGroup,
    Plateau, PlateauSettings, Schedule, Sgd, SgdSettings,
};
use serde::{Deserialize, Serialize};

/// The network and its head. Image size and channels are those of `[images]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Filters of every block of the small ConvNet.
    pub width: usize,
    /// Number of blocks of the small ConvNet; each halves the image.
    pub blocks: usize,
    /// Of vectors: widths of the layers before the embedding, each followed by a ReLU; none for a linear map.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
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
    /// Tensors of `pretrained` that are left out, by the beginning of their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// The backbone does not train at all: its features are computed once, before training, and the head learns on them. What is
    /// saved is the whole network. Needs `pretrained`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
    /// Of a frozen backbone: changed views of every training picture that are kept beside the picture as it is.
    #[serde(skip_serializing_if = "is_zero")]
    pub frozen_views: usize,
    /// Norms of the backbone work with the running statistics that they have, in training too: for pretrained weights and small
    /// batches.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub frozen_norms: bool,
    /// Of a pretrained network: steps in which the head alone learns, on features of the backbone as it is, before everything
    /// trains; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub head_steps: u64,
    /// What does not train, by the beginning of its name, up to a dot: `backbone`, `backbone.block1`, ...
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Another network than the small ConvNet, as `config.json` has it: `{ architecture = "..." }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneConfig>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

fn is_one(number: &f64) -> bool {
    *number == 1.
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            width: 64,
            blocks: 4,
            hidden: Vec::new(),
            embedding: 64,
            dropout: 0.,
            output: Output::Raw,
            pretrained: None,
            ignore: Vec::new(),
            frozen: false,
            frozen_views: 0,
            frozen_norms: false,
            head_steps: 0,
            freeze: Vec::new(),
            backbone: None,
        }
    }
}

/// The optimizer, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// `adam` (`adamw` is the same: decay is decoupled), `sgd`, `lion` or `adan`.
    pub name: OptimizerName,
    /// Learning rate at full height of the schedule; unless given, that of the [name](OptimizerName::usual).
    pub learning_rate: f64,
    /// Decay rates of the moments: two of Adam and Lion, three of Adan; unless given, those of the [name](OptimizerName::usual).
    pub betas: Vec<f64>,
    /// Adam's and Adan's epsilon.
    pub epsilon: f64,
    /// SGD's momentum.
    pub momentum: f64,
    /// Decay of the weights per step, times the learning rate (decoupled); on matrices and filters only.
    pub weight_decay: f64,
    /// Largest Euclidean norm of the whole gradient; 0 for none.
    pub clip_norm: f64,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// Layer-wise decay of the rate: layer l of the network, of which the head is number L, learns at this to the power L - l times the
    /// rate of its group; 1 for none.
    #[serde(skip_serializing_if = "is_one")]
    pub layer_decay: f64,
    /// Parts of the network (and of the loss) with a rate or decay of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<GroupConfig>,
}

impl OptimizerConfig {
    /// The optimizer of these settings.
    ///
    /// # Errors
    /// If one is out of range.
    pub fn build(&self) -> Result<Box<dyn Optimizer>> {
        let Self { learning_rate, epsilon, momentum, weight_decay, .. } = *self;
        Ok(match self.name {
            OptimizerName::Adam => {
                let betas = self.betas()?;
                Box::new(Adam::new(AdamSettings { learning_rate, betas, epsilon, weight_decay })?)
            }
            OptimizerName::Sgd => {
                Box::new(Sgd::new(SgdSettings { learning_rate, momentum, weight_decay, ..Default::default() })?)
            }
            OptimizerName::Lion => {
                Box::new(Lion::new(LionSettings { learning_rate, betas: self.betas()?, weight_decay })?)
            }
            OptimizerName::Adan => {
                let betas = self.betas()?;
                Box::new(Adan::new(AdanSettings { learning_rate, betas, epsilon, weight_decay })?)
            }
        })
    }

    /// The decay rates, of which the optimizer has so many.
    fn betas<const N: usize>(&self) -> Result<[f64; N]> {
        self.betas.as_slice().try_into().map_err(|_| {
            let usual = self.name.usual().betas;
            let why =
                format!("are {:?}, but {} has {N} of them: the usual ones are {usual:?}", self.betas, self.name.word());
            Error::Setting { setting: "optimizer.betas", why }
        })
    }

    /// The parts of the network with a rate or decay of their own.
    pub fn groups(&self) -> Vec<ParameterGroup> {
        let group = |g: &GroupConfig| ParameterGroup {
            prefix: g.prefix.clone(),
            lr_scale: g.lr_scale,
            decay_scale: g.decay_scale,
        };
        self.group.iter().map(group).collect()
    }
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

/// Which optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerName {
    /// Adam (Kingma and Ba, 2015), with decoupled weight decay (AdamW, Loshchilov and Hutter, 2019).
    #[serde(alias = "adamw", alias = "adam-w")]
    Adam,
    /// Gradient descent with momentum.
    Sgd,
    /// Lion (Chen et al., 2023): the sign of the momentum, with decoupled weight decay.
    Lion,
    /// Adan (Xie et al., 2022): Nesterov momentum, with decoupled weight decay.
    Adan,
}

impl OptimizerName {
    /// The settings of one of which nothing but the name is written.
    pub fn usual(self) -> OptimizerConfig {
        let adam = OptimizerConfig::default();
        let (learning_rate, betas) = match self {
            Self::Adam | Self::Sgd => return OptimizerConfig { name: self, ..adam },
            Self::Lion => {
                let LionSettings { learning_rate, betas, .. } = Default::default();
                (learning_rate, betas.to_vec())
            }
            Self::Adan => {
                let AdanSettings { learning_rate, betas, .. } = Default::default();
                (learning_rate, betas.to_vec())
            }
        };
        OptimizerConfig { name: self, learning_rate, betas, ..adam }
    }

    /// The name as settings have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Sgd => "sgd",
            Self::Lion => "lion",
            Self::Adan => "adan",
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            name: OptimizerName::Adam,
            learning_rate: 3e-3,
            betas: vec![0.9, 0.999],
            epsilon: 1e-8,
            momentum: 0.9,
            weight_decay: 0.,
            clip_norm: 0.,
            accumulate: 1,
            layer_decay: 1.,
            group: Vec::new(),
        }
    }
}

/// The learning rate over the steps, as a factor of `optimizer.learning_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// `cosine`, `step`, `plateau` or `constant`.
    pub name: ScheduleName,
    /// Steps over which the rate rises linearly from 0.
    pub warm_up: u64,
    /// Cosine: the factor at the end. Plateau: the least factor.
    pub floor: f64,
    /// Step: steps at which the rate falls.
    pub milestones: Vec<u64>,
    /// Step and plateau: the factor of each fall.
    pub factor: f64,
    /// Plateau: validations in a row without a gain after which the rate falls.
    pub patience: u64,
}

/// Which schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// Half a cosine from 1 to `floor`.
    Cosine,
    /// Times `factor` at each milestone.
    Step,
    /// Times `factor` after `patience` validations without a gain.
    Plateau,
    /// 1.
    Constant,
}

impl ScheduleConfig {
    /// The schedule of these settings.
    ///
    /// # Errors
    /// If one is out of range.
    pub fn build(&self) -> Result<Box<dyn Schedule>> {
        let Self { warm_up, floor, factor, patience, .. } = *self;
        Ok(match self.name {
            ScheduleName::Constant => Box::new(Constant { warm_up }),
            ScheduleName::Cosine => Box::new(Cosine { warm_up, floor }),
            ScheduleName::Step => Box::new(MultiStep { warm_up, milestones: self.milestones.clone(), factor }),
            ScheduleName::Plateau => Box::new(Plateau::new(PlateauSettings { warm_up, factor, patience, floor })?),
        })
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        let (warm_up, floor, milestones, factor, patience) = (0, 0., Vec::new(), 0.1, 2);
        Self { name: ScheduleName::Cosine, warm_up, floor, milestones, factor, patience }
    }
}

/// [`NetPrecision`] by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionConfig {
    /// [`NetPrecision::F32`].
    F32,
    /// [`NetPrecision::Tf32`].
    #[default]
    Tf32,
    /// [`NetPrecision::Bf16`].
    Bf16,
}

impl PrecisionConfig {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// That it can be on a device.
    ///
    /// # Errors
    /// If it is for another kind of device.
    pub(crate) fn check(self, device: Device) -> Result<()> {
        let there = match device {
            Device::Cuda(_) => true,
            Device::Cpu => sixteen_bit_products(),
            Device::Metal(_) => false,
        };
        if self != Self::Bf16 || there {
            return Ok(());
        }
        let who = match device {
            Device::Cpu => "this processor has no products of bf16 (AVX512-BF16)",
            _ => "bf16 is for CUDA devices and for processors with AVX512-BF16",
        };
        let why = format!("{who}: train in f32 (--set training.precision=f32) or with --device cuda");
        Err(Error::Setting { setting: "training.precision", why })
    }

    /// Has the passes of this process compute in it as long as what it gives is held; then in what they did before.
    pub(crate) fn begin(self) -> InPrecision {
        let before = NetPrecision::chosen();
        let precision = match self {
            Self::F32 => NetPrecision::F32,
            Self::Tf32 => NetPrecision::Tf32,
            Self::Bf16 => NetPrecision::Bf16,
        };
        precision.choose();
        InPrecision { before }
    }
}

/// The time in which passes compute in a run's precision.
pub(crate) struct InPrecision {
    before: NetPrecision,
}

impl Drop for InPrecision {
    fn drop(&mut self) {
        self.before.choose();
    }
}

/// How long, and how often to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Number of steps.
    pub steps: u64,
    /// Steps between evaluations on the validation split; 0 for none.
    pub eval_every: u64,
    /// Steps between checkpoints; the last step always makes one.
    pub checkpoint_every: u64,
    /// Steps between measurements of the N-pair loss on fixed pairs (of `seen` examples, else of `val`, else of `train`), from
    /// step 0 on; 0 for none.
    pub probe_every: u64,
    /// Examples that pass through the network at a time, twice each (see [`GradCache`](npair_train::GradCache)): a batch takes no
    /// more memory than this many; 0 for the whole batch at once.
    pub grad_cache: usize,
    /// Parts that a batch is cut into, which ranks share (`mpirun -n 4 npair train ..`): the same steps on any number of ranks up to this
    /// one. Batch norm has the statistics of a part. 0 for as many as there are ranks, and for none where there is one.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards: usize,
    /// Exponential moving average of the weights: how much of it a step keeps, 0.99 or more; 0 for none. Average and weights are both
    /// judged by the validation split, and the better one is the best checkpoint.
    #[serde(skip_serializing_if = "is_zero")]
    pub average: f64,
    /// Validations in a row without a better score after which the run ends; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub patience: u64,
    /// What products of networks are made of: `tf32` (the rule: of 11 bits of each factor on CUDA, f32 elsewhere), `f32`, or `bf16` (8
    /// bits, where CUDA or the processor has it).
    #[serde(skip_serializing_if = "PrecisionConfig::is_usual")]
    pub precision: PrecisionConfig,
    /// Whether the curves are written as event files of TensorBoard too, in the folder `tensorboard` of the run.
    pub tensor_board: bool,
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
            shards: 0,
            average: 0.,
            patience: 0,
            precision: PrecisionConfig::default(),
            tensor_board: true,
            allow_dead: Vec::new(),
        }
    }
}

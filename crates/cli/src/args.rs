use clap::{Args, Parser, Subcommand};
use npair_recipe::Device;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Train, judge and use image embeddings: deep metric learning with the multi-class N-pair loss.
///
/// Exit codes: 0 done, 2 a wrong argument or setting, 3 data or files that cannot be used, 4 a failure while running,
/// 130 stopped by Ctrl-C (a checkpoint was saved).
#[derive(Debug, Parser)]
#[command(name = "npair", version, propagate_version = true, max_term_width = 110)]
pub struct Npair {
    #[command(subcommand)]
    pub command: Command,
    /// Print results as JSON, one object per line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Threads to use; all cores by default. Results do not depend on it.
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// What computes: cpu, cuda, cuda:1 (2, ...), metal. A run is trained on the device of its settings (cpu by default), judged
    /// and embedded with on the CPU. GPUs need a build with --features cuda or metal.
    #[arg(long, global = true, value_name = "DEVICE")]
    pub device: Option<Device>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an embedding on N pairs.
    Train(Train),
    /// Show what would be trained, and why.
    Plan(Plan),
    /// Judge a run, or any embeddings: recall@K, R-precision, MAP@R, NMI, F1, VRF, EER.
    Eval(Eval),
    /// Embed pictures with a trained run.
    Embed(Embed),
    /// Look at a data set.
    #[command(subcommand)]
    Data(Data),
    /// Whether a device computes what the CPU computes: the matrix, searches and networks.
    GpuCheck(GpuCheck),
    /// What this machine does: copies and products, N-pair-mc, top-k, networks, next to the last run.
    Bench(Bench),
}

/// Whether a device computes what the CPU computes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair gpu-check --device cuda
  npair gpu-check --device metal --json

Exit code 4 if anything is off by more than rounding.")]
pub struct GpuCheck {}

/// What this machine does, next to the last run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair bench                                   this machine's processor
  npair bench --device cuda                     and its GPU
  npair bench --device cuda --json --record results/bench.jsonl

Limits are measured first: a copy in memory and matrix products; \"of limit\" is the part of the product's rate that N-pair-mc
and top-k reach, counting the operations that they need. Compare runs of one machine only, with nothing else running.")]
pub struct Bench {
    /// Small sizes, to see that everything runs.
    #[arg(long)]
    pub quick: bool,
    /// Where runs are recorded, a line each [default: npair/bench.jsonl in XDG_STATE_HOME or ~/.local/state].
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Settings, from a file and from the command line.
#[derive(Debug, Args)]
pub struct Settings {
    /// TOML file with settings; every key has a default.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key: --set training.steps=500 --set loss.name=triplet
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Seed of everything random.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Train an embedding on N pairs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair train --data photos/ --out runs/first
  npair train --data photos/ --out runs/longer --minutes 60
  npair train --data glyphs --out runs/glyphs --set batch.classes=40
  npair train --data omniglot=images_background.zip --out runs/omniglot --set data.rotations=true
  npair train --data vectors=x.npy,labels=y.npy --out runs/text --set model.hidden=[256]
  npair train --data photos/ --out runs/gpu --device cuda
  npair train --data photos/ --out runs/fine --set model.pretrained=efficientnet_lite0.safetensors
  npair train --data photos/ --out runs/head --set model.backbone={architecture=\"resnet50\"} \\
              --set model.pretrained=weights.safetensors --set model.frozen=true
  npair train --resume runs/first
  npair train --resume runs/first --more 500
  npair train --resume runs/first --data /new/place/photos --set data.skip_bad=true

What is not set is chosen by the data, and printed with its reason; see it without training: npair plan --data photos/
The run's folder holds config.toml (all settings), metrics.jsonl and checkpoints/{last,best}.")]
pub struct Train {
    /// Where pictures come from: a folder with a folder per class, `glyphs` (built in), or a data set in its official layout:
    /// omniglot=, cub=, cars=, sop=, in-shop=, webface=, lfw=PATH, csv=FILE; or vectors of any origin:
    /// vectors=FILE,labels=FILE.
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// Folder of the new run.
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    pub out: Option<PathBuf>,
    /// How long the run may take, about; the number of steps follows from it. Ten minutes without, or less where the data has been
    /// learned by then.
    #[arg(long, value_name = "MINUTES", conflicts_with = "resume")]
    pub minutes: Option<f64>,
    /// Do not choose settings by the data: what is not written has the value that docs/guide/settings.md gives.
    #[arg(long, conflicts_with = "resume")]
    pub no_plan: bool,
    /// Go on with a stopped run: on the CPU to the same bits as if it had not been stopped.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// So many steps more than the run has, of one that goes on: a finished one too.
    #[arg(long, value_name = "STEPS", requires = "resume")]
    pub more: Option<u64>,
    #[command(flatten)]
    pub settings: Settings,
}

/// Show what would be trained, and why: settings chosen by the data.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair plan --data photos/
  npair plan --data photos/ --minutes 60
  npair plan --data photos/ --set images.size=96 --json
  npair plan --data photos/ --toml > settings.toml

A few steps are tried on a network that is thrown away, to know how long a step takes here.")]
pub struct Plan {
    /// Where pictures come from, as for train.
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// How long the run may take, about.
    #[arg(long, value_name = "MINUTES")]
    pub minutes: Option<f64>,
    /// Print all settings as TOML instead, for --config.
    #[arg(long, conflicts_with = "json")]
    pub toml: bool,
    #[command(flatten)]
    pub settings: Settings,
}

/// Judge a run, or any embeddings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair eval runs/first                                  the test split of the run's own data
  npair eval runs/first --split val --json
  npair eval runs/gpu --device cuda:1                    embedded on the second GPU
  npair eval runs/first --data photos/ --split all       other pictures, all of them
  npair eval --embeddings x.npy --labels y.npy           any model's embeddings
  npair eval runs/first --grid neighbours.png            a picture of queries and what they find
  npair eval runs/first --protocol lfw=faces/lfw         an official protocol on data of its own

Protocols:
  lfw=DIR                        verification over the folds of pairs.txt; identification on a split of our own
  omniglot-one-shot=PATH         the official one-shot runs (all_runs.zip)
  in-shop=DIR                    its queries in its gallery
  query-gallery                  the same on the run's own data
  one-shot-within-groups[=RUNS]  one-shot runs drawn from the groups (alphabets) of a split")]
pub struct Eval {
    /// Folder of a run.
    #[arg(value_name = "RUN", required_unless_present = "embeddings")]
    pub run: Option<PathBuf>,
    /// Embeddings of any model: .npy (rows, D) or .safetensors with `embeddings`.
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub embeddings: Option<PathBuf>,
    /// Their labels: .npy of whole numbers, or .safetensors with `labels`.
    #[arg(long, value_name = "FILE", requires = "embeddings")]
    pub labels: Option<PathBuf>,
    /// Other data than the run's own.
    #[arg(long, value_name = "SOURCE", requires = "run")]
    pub data: Option<String>,
    /// train, val, test (unseen classes), seen (unseen examples of training classes), new (added since the run began) or all;
    /// test where there is one.
    #[arg(long, requires = "run")]
    pub split: Option<String>,
    /// An official protocol instead of the usual scores: see below.
    #[arg(long, value_name = "PROTOCOL", requires = "run", conflicts_with = "grid")]
    pub protocol: Option<String>,
    /// best or last.
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
    /// cosine, dot or squared-euclidean.
    #[arg(long)]
    pub measure: Option<String>,
    /// Write a picture of queries and their nearest neighbours.
    #[arg(long, alias = "sheet", value_name = "PNG", requires = "run")]
    pub grid: Option<PathBuf>,
    /// Do not compare with guessing, raw pixels and the network before training.
    #[arg(long, requires = "run")]
    pub no_baselines: bool,
    /// Replace the picture if it is there.
    #[arg(long)]
    pub force: bool,
    /// Settings of the evaluation: --set evaluation.recall_at=[1,10]
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Embed pictures with a trained run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair embed runs/first --data new/ --out new.npy          and new.labels.npy, new.csv beside it
  npair embed runs/first --split test --out test.safetensors
  npair embed runs/gpu --data new/ --out new.npy --device cuda")]
pub struct Embed {
    /// Folder of a run, or a model folder (config.json, model.safetensors).
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Pictures to embed, in class folders or not: a folder, a picture, `-` for a list of paths on standard input, or any source;
    /// the run's own data by default.
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// train, val, test, seen, new or all; all by default.
    #[arg(long)]
    pub split: Option<String>,
    /// best or last.
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
    /// Settings: --set tta.views=8
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Where to write: .npy or .safetensors.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub enum Data {
    /// Decode every picture and list what is wrong.
    Check(Check),
}

/// Decode every picture and list what is wrong, and which pictures are there twice: in the same pixels (=), or in another size or
/// encoding (~).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair data check photos/
  npair data check omniglot=images_background.zip --json
  npair data check cub=CUB_200_2011
  npair data check tree/ --set data.levels=3      the class is named by three folders

Exit code 3 if any picture cannot be decoded.")]
pub struct Check {
    /// A folder with a folder per class, `glyphs`, or omniglot=, cub=, cars=, sop=, in-shop=, webface=, lfw=PATH, csv=FILE.
    #[arg(value_name = "SOURCE")]
    pub data: String,
    /// Settings of the data: --set data.levels=3
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Write a picture of the first examples of some classes.
    #[arg(long, alias = "sheet", value_name = "PNG")]
    pub grid: Option<PathBuf>,
    /// Replace the picture if it is there.
    #[arg(long)]
    pub force: bool,
}

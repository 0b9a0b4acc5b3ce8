mod device;
mod planned_ranks;

pub use device::{Bench, CheckPart, GpuCheck};
pub use planned_ranks::PlannedRanks;

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
    /// Make a folder that answers, of a trained run and pictures; or change one.
    Index(Index),
    /// Find what is near in an index.
    Search(Search),
    /// A web page on this machine over an index, and a JSON API.
    Serve(Serve),
    /// Whether two pictures show the same.
    Verify(Verify),
    /// Put pictures without classes into groups.
    Cluster(Cluster),
    /// One page about a run, or several beside each other.
    Report(Report),
    /// Take a trained network elsewhere: a Hub folder, PyTorch, ONNX.
    Export(Export),
    /// Whether the difference of runs is more than chance.
    Compare(Compare),
    /// What went wrong in a run: evidence, cure, and what the cure costs.
    Doctor(Doctor),
    /// Look at a data set.
    #[command(subcommand)]
    Data(Data),
    /// Whether a device computes what the CPU computes: the matrix, searches and networks.
    GpuCheck(GpuCheck),
    /// What this machine does: copies and products, N-pair-mc, top-k, networks, next to the last run.
    Bench(Bench),
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
    /// Learn without classes, from pictures in any folders: each is to be known by changed views of it (--set data.views=2).
    #[arg(long, visible_alias = "unlabelled")]
    pub unlabeled: bool,
}

/// Train an embedding on N pairs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair train --data photos/ --out runs/first
  npair train --data photos/ --out runs/longer --minutes 60
  npair train --data glyphs --out runs/glyphs --set batch.classes=40
  npair train --data omniglot=images_background.zip --out runs/omniglot --set data.rotations=true
  npair train --data camera/ --out runs/camera --unlabeled
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
  npair plan --data photos/ --ranks 16 --pairs 4096       what a step costs on 1 to 16 ranks of machines like this one
  npair plan --ranks 1000 --pairs 1000000 --parameters 25000000 --example-seconds 0.002 --loss-gflops 200000 --link-gbytes 50

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
    pub ranks: PlannedRanks,
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
  npair eval runs/first --far 0.0001                     the threshold for one wrong pair in 10,000
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
    /// A false accept rate to give the threshold for, beside 0.1 %, 1 % and 10 %: 0.0001, or 0.01%.
    #[arg(long, value_name = "RATE", requires = "run", value_parser = crate::verifier::far)]
    pub far: Option<f64>,
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
  npair embed runs/gpu --data new/ --out new.npy --device cuda

Rows are written while they are made, to new.npy.part: of any number of pictures a few hundred are in memory at a time. Whoever is
stopped gives the same command again, and it goes on where it was, to the same bits.")]
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

/// Make a folder that answers by itself: model, vectors, paths, thresholds, thumbnails; or change one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair index runs/first photos/ --out shop              a new index, of all pictures
  npair index runs/first --split test --out shop         of a side of the run's own data
  npair index shop --add new/                            more pictures; new classes are enrolled by their folders
  npair index shop --add owl1.jpg --class owl            enrols one picture under a name
  npair index shop --remove old.csv                      paths in a file, a line or the column `path` each
  npair index shop --remove class=owl
  npair index shop --approximate                         a graph for large sets; its recall is printed
  npair index shop --export shop.parquet                 or .sql, for PostgreSQL with pgvector
  npair index shop                                       what it is

A change is written beside what is there and takes its place at once: whoever is interrupted leaves the old state or the new one.")]
pub struct Index {
    /// Folder of a run or a model, of which an index is made; or of an index.
    #[arg(value_name = "RUN|INDEX")]
    pub from: PathBuf,
    /// Pictures of a new index, in class folders or not; the run's own data by default.
    #[arg(value_name = "DATA")]
    pub data: Option<String>,
    /// Folder of the new index.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Of a new index: train, val, test, seen, new or all; all by default.
    #[arg(long)]
    pub split: Option<String>,
    /// Of a new index: best or last.
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
    /// Of a new index: a false accept rate that it keeps a threshold for, beside 0.1 %, 1 % and 10 %.
    #[arg(long, value_name = "RATE", requires = "out", value_parser = crate::verifier::far)]
    pub far: Option<f64>,
    /// Pictures to add; one whose path is there already replaces it.
    #[arg(long, value_name = "DATA")]
    pub add: Option<String>,
    /// The class of all pictures that are added, whatever folders they lie in.
    #[arg(long, value_name = "NAME", requires = "add")]
    pub class: Option<String>,
    /// What to take out: a file of paths, or class=NAME.
    #[arg(long, value_name = "FILE")]
    pub remove: Option<String>,
    /// Write everything anew, so that what was removed takes no place any more.
    #[arg(long)]
    pub compact: bool,
    /// Build a graph for approximate search, and print its recall against the exact one.
    #[arg(long)]
    pub approximate: bool,
    /// Write all rows for other programs: .parquet, or .sql for pgvector.
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Keep no small pictures.
    #[arg(long)]
    pub no_thumbnails: bool,
    /// Settings of the data: --set data.skip_bad=true
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Replace the exported file if it is there.
    #[arg(long)]
    pub force: bool,
}

/// Find what is near in an index, and whether it is a match.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair search shop query.jpg -k 5
  npair search shop queries/ --grid found.png
  npair search shop query.jpg --class owl --far 0.01
  npair search shop query.jpg --rerank                   says whether that helps, on classes that were not learned from
  npair search shop vectors.npy --json

A match is a similarity at or above the threshold for the false accept rate, of a pair; of a query and n pictures of other classes, n
times as many are wrong.")]
pub struct Search {
    /// Folder of an index.
    #[arg(value_name = "INDEX")]
    pub index: PathBuf,
    /// A picture, a folder of pictures, `-` for a list of paths on standard input, or a file of vectors (.npy, .safetensors, .parquet).
    #[arg(value_name = "QUERY")]
    pub query: String,
    /// How many are shown.
    #[arg(short, long, default_value_t = 5, value_name = "K")]
    pub k: usize,
    /// The false accept rate of a match: 0.001, or 0.1%.
    #[arg(long, value_name = "RATE", value_parser = crate::verifier::far)]
    pub far: Option<f64>,
    /// Only rows of this class.
    #[arg(long)]
    pub class: Option<String>,
    /// Search by the graph that `npair index --approximate` built.
    #[arg(long)]
    pub approximate: bool,
    /// Query expansion: ask again with the weighted mean of the query and so many of its nearest (5).
    #[arg(long, value_name = "ROWS", num_args = 0..=1, default_missing_value = "5", conflicts_with_all = ["rerank", "class", "approximate"])]
    pub expand: Option<usize>,
    /// Re-ranking: the 200 nearest in the order of how much their own neighbours are those of the query (k-reciprocal).
    #[arg(long, conflicts_with_all = ["class", "approximate"])]
    pub rerank: bool,
    /// Write a picture of queries and what was found.
    #[arg(long, value_name = "PNG")]
    pub grid: Option<PathBuf>,
    /// Replace the picture if it is there.
    #[arg(long)]
    pub force: bool,
}

/// A web page on this machine: drop a picture, see its neighbours, match or not; and a JSON API (OpenAPI).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair serve shop                                       http://127.0.0.1:7777
  npair serve shop --writable --token some-long-secret   pictures may be enrolled and removed
  npair serve shop --address 0.0.0.0:7777 --token some-long-secret

Uploads, connections, time and requests per client are bounded; a picture that cannot be decoded harms its own request alone.")]
pub struct Serve {
    /// Folder of an index.
    #[arg(value_name = "INDEX")]
    pub index: PathBuf,
    /// Where to listen; port 0 takes any that is free. Other machines reach what is not 127.0.0.1: that needs a token.
    #[arg(long, default_value = "127.0.0.1:7777", value_name = "ADDRESS")]
    pub address: std::net::SocketAddr,
    /// A name besides those of this machine by which browsers reach it, behind a proxy say.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Pictures may be enrolled and removed, by whoever has the token.
    #[arg(long, requires = "token")]
    pub writable: bool,
    /// What has to be known to change rows, and from other machines to read any.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The false accept rate of a match: 0.001, or 0.1%.
    #[arg(long, value_name = "RATE", value_parser = crate::verifier::far)]
    pub far: Option<f64>,
}

/// Whether two pictures show the same, by an index's model and thresholds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair verify shop a.jpg b.jpg
  npair verify shop a.jpg b.jpg --far 0.01 --json")]
pub struct Verify {
    /// Folder of an index.
    #[arg(value_name = "INDEX")]
    pub index: PathBuf,
    /// A picture.
    #[arg(value_name = "A")]
    pub first: String,
    /// Another.
    #[arg(value_name = "B")]
    pub second: String,
    /// The false accept rate: 0.001, or 0.1%.
    #[arg(long, value_name = "RATE", value_parser = crate::verifier::far)]
    pub far: Option<f64>,
}

/// Put pictures without classes into groups: folders of links, a table, and a picture of the largest.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair cluster shop --data unlabelled/ --out groups
  npair cluster shop --out groups                      the index's own pictures
  npair cluster shop --data unlabelled/ --out groups --k 20
  npair cluster shop --data unlabelled/ --out groups --threshold 0.7

Without --k two groups are joined while their mean similarity is at least the index's threshold. Where the pictures lie in class folders
the groups are held against these.")]
pub struct Cluster {
    /// Folder of an index.
    #[arg(value_name = "INDEX")]
    pub index: PathBuf,
    /// Pictures to group; those of the index by default.
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Folder of the groups.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// So many groups, by k-means.
    #[arg(long, value_name = "K", conflicts_with_all = ["far", "threshold"])]
    pub k: Option<usize>,
    /// The threshold for this false accept rate: 0.001, or 0.1%.
    #[arg(long, value_name = "RATE", conflicts_with = "threshold", value_parser = crate::verifier::far)]
    pub far: Option<f64>,
    /// A threshold of your own.
    #[arg(long, value_name = "SIMILARITY", allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// Seed of k-means.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

/// One page about a run, or several beside each other: curves, scores, neighbours, what is confused, a map.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair report runs/first                                runs/first/report.html
  npair report runs/first runs/second --out both.html    two runs on the same examples, compared
  npair report runs/first --split val --force

The page is one file that asks nobody for anything: it can be sent, opened offline and printed.")]
pub struct Report {
    /// Folders of runs.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The page; report.html in the folder of the first run by default.
    #[arg(long, value_name = "HTML")]
    pub out: Option<PathBuf>,
    /// val or test (unseen classes); test where there is one.
    #[arg(long)]
    pub split: Option<String>,
    /// best or last.
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
    /// Replace the page if it is there.
    #[arg(long)]
    pub force: bool,
}

/// Take a trained network elsewhere, with the numbers that prove that it computes the same there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair export runs/first --to hub --out first-embedder     config, weights, card, thresholds, a loader for PyTorch
  npair export runs/first --to torch --out first-torch      weights by timm's or torchvision's names, and the loader
  npair export runs/first --to onnx --out first-onnx        model.onnx, batches of any size
  python first-torch/load.py                                proves that PyTorch computes the same

`npair index`, `embed` and `eval` take a Hub folder wherever they take a run.")]
pub struct Export {
    /// Folder of a run or a model.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// As what.
    #[arg(long, value_enum)]
    pub to: Form,
    /// The new folder; export-hub, -torch or -onnx in that of the run by default.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// best or last.
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
}

/// As what a network is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A folder as the Hugging Face Hub has them.
    Hub,
    /// Weights and a loader for PyTorch.
    Torch,
    /// An ONNX file, for ONNX Runtime and everything that reads it.
    Onnx,
}

/// Whether the difference of runs is more than chance: the paired bootstrap over classes, corrected for the number of comparisons.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair compare runs/first runs/second
  npair compare runs/a runs/b runs/c --split val --json

The runs have to be judged on the same examples: train them on the same data with the same seed.")]
pub struct Compare {
    /// Folders of runs, two or more.
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub runs: Vec<PathBuf>,
    /// val or test (unseen classes); test where there is one.
    #[arg(long)]
    pub split: Option<String>,
    /// best or last.
    #[arg(long, default_value = "best")]
    pub checkpoint: String,
}

/// What went wrong in a run: evidence, cure, and what the cure costs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  npair doctor runs/first
  npair doctor runs/first --journal-only       embeds nothing: what the journal alone tells
  npair doctor runs/first --json

Looked for: a loss that does not fall, collapse to a point or to few directions, a rate too high or too low, a miner that finds nothing,
batches that are too easy, a memory that is too old, over-fitting, norms that run away, dead classes, leaks between the sides of the
split. A finding is no error: the exit code is 0.")]
pub struct Doctor {
    /// Folder of a run.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where the run's data lies now, if it has moved.
    #[arg(long, value_name = "SOURCE", conflicts_with = "journal_only")]
    pub data: Option<String>,
    /// Embed nothing.
    #[arg(long)]
    pub journal_only: bool,
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
  npair data check photos/ --run runs/first       and labels that look wrong, and classes that are one, by its embedding
  npair data check photos/ --run runs/first --sheets looks

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
    /// Folder of a run, whose embedding is asked which labels look wrong, which classes are one thing under two names, and whose split is
    /// looked at for copies on two sides.
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Folder for a picture of each list: twins.png, and with --run labels.png and alike.png.
    #[arg(long, value_name = "DIR")]
    pub sheets: Option<PathBuf>,
    /// Replace pictures that are there.
    #[arg(long)]
    pub force: bool,
}

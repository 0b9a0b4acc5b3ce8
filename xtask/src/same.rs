//! `cargo xtask same`: a few steps of every built-in recipe with two programs, compared to the bit.

use crate::{shell, tree};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Trains every recipe of crates/recipe/tests/recipes.toml with two builds of npair on this machine and compares journals and
/// weights to the bit; some are stopped in the middle and resumed. Bits differ from one kind of processor to another, so both have
/// to run here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask same --reference ../before/target/release/npair
  cargo xtask same --reference ../npair-before --only circle --only memory-sum

Build the reference of the commit before a change:
  git worktree add ../before COMMIT && cargo build --release -p npair --manifest-path ../before/Cargo.toml")]
pub struct Args {
    /// The program that is right.
    #[arg(long, value_name = "NPAIR")]
    reference: PathBuf,
    /// The program that is held against it; by default the release build of this tree, which is made first.
    #[arg(long, value_name = "NPAIR")]
    program: Option<PathBuf>,
    /// These recipes alone.
    #[arg(long, value_name = "RECIPE")]
    only: Vec<String>,
    /// Where runs are kept [default: a folder in the target folder, emptied first].
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

#[derive(Debug, serde::Deserialize)]
struct Recipes {
    base: Vec<String>,
    recipes: BTreeMap<String, Vec<String>>,
}

/// Present names and those of releases before, for a reference that knows the old ones alone.
const OLD: [(&str, &str); 13] = [
    ("optimizer.", "optimiser."),
    ("regularizer=", "regulariser="),
    ("data.seen=", "data.known="),
    ("sub-center-arc-face", "sub-centre-arc-face"),
    ("generalized-lifted-structure", "generalised-lifted-structure"),
    ("normalized-softmax", "normalised-softmax"),
    ("batch-hard-triplet-soft", "triplet-batch-hard-soft"),
    ("batch-hard-triplet", "triplet-batch-hard"),
    ("batch-all-triplet", "triplet-margin-all"),
    ("pairwise-contrastive", "contrastive-all"),
    ("center-invariant", "centre-invariant"),
    ("sparse-centers", "sparse-centres"),
    ("centers=", "centres="),
];

/// Recipes that are also stopped in the middle and resumed.
const STOPPED: [&str; 8] = [
    "n-pair-mc",
    "mined-n-pair",
    "memory-sum",
    "grad-cache-memory",
    "miner-distance-weighted",
    "soft-triple",
    "accumulate",
    "regularizers",
];

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let text =
        fs::read_to_string(root.join("crates/recipe/tests/recipes.toml")).context("recipes.toml cannot be read")?;
    let Recipes { base, recipes } = toml::from_str(&text).context("recipes.toml")?;
    let target = tree::Metadata::read(&root)?.target_directory;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => {
            shell::step(&mut shell::cargo(&root, &["build", "--release", "-p", "npair"]), "mend what is named above")?;
            target.join("release/npair")
        }
    };
    let runs = args.runs.clone().unwrap_or_else(|| target.join("same"));
    // What an earlier call may have left; that there is nothing is fine.
    let _ = fs::remove_dir_all(&runs);
    fs::create_dir_all(&runs).with_context(|| format!("{} cannot be made", runs.display()))?;
    let programs = [Program::new(&args.reference)?, Program::new(&program)?];
    let (mut same, mut wrong) = (0, Vec::new());
    for (name, own) in recipes.iter().filter(|(name, _)| args.only.is_empty() || args.only.contains(name)) {
        let sets: Vec<String> = base.iter().chain(own).cloned().collect();
        let stops = if STOPPED.contains(&name.as_str()) { &[false, true][..] } else { &[false] };
        for &stop in stops {
            let what = if stop { format!("{name}, stopped and resumed") } else { name.clone() };
            match compare(&programs, &runs, name, &sets, stop) {
                Ok(()) => same += 1,
                Err(why) => {
                    println!("  DIFFERS  {what}: {why:#}");
                    wrong.push(what);
                }
            }
        }
    }
    println!("{same} runs are the same to the bit, {} differ", wrong.len());
    if !wrong.is_empty() {
        bail!("not the same: {}; the runs are in {}", wrong.join(", "), runs.display());
    }
    Ok(())
}

/// A build of npair, and whether it knows present names.
struct Program {
    path: PathBuf,
    is_new: bool,
    /// Chooses settings by the data unless told not to.
    plans: bool,
}

impl Program {
    fn new(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("{}: no such program", path.display()))?;
        let help = shell::text(Command::new(&path).args(["eval", "--help"]))?;
        let train = shell::text(Command::new(&path).args(["train", "--help"]))?;
        Ok(Self { path, is_new: help.contains("--grid"), plans: train.contains("--no-plan") })
    }

    fn words(&self, set: &str) -> String {
        if self.is_new {
            return set.to_owned();
        }
        OLD.iter().fold(set.to_owned(), |set, (new, old)| set.replace(new, old))
    }

    fn train(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("train").args(args);
        // Recipes are the written settings and the usual ones, nothing that the data chooses.
        if self.plans && !args.contains(&"--resume") {
            command.arg("--no-plan");
        }
        command
    }
}

fn compare(programs: &[Program; 2], runs: &Path, name: &str, sets: &[String], stop: bool) -> Result<()> {
    let mut found = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        let folder = runs.join(format!("{name}-{}-{number}", if stop { "stopped" } else { "whole" }));
        let out = folder.display().to_string();
        let mut words = vec!["--out".to_owned(), out.clone()];
        for set in sets {
            words.extend(["--set".to_owned(), program.words(set)]);
        }
        if stop {
            // Long enough to be stopped on its way; where it is stopped does not matter.
            words.extend(["--set".to_owned(), "training.steps=40".to_owned()]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = program.train(&words);
        if stop {
            interrupted(&mut command, &folder)?;
            shell::output(&mut program.train(&["--resume", &out]))?;
        } else {
            shell::output(&mut command)?;
        }
        found.push(Seen::read(&folder)?);
    }
    let [reference, other] = &found[..] else { bail!("two runs are compared") };
    reference.expect_same(other)
}

/// Starts a run and stops it as Ctrl-C does, once there is a checkpoint.
fn interrupted(command: &mut Command, folder: &Path) -> Result<()> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("npair cannot be started")?;
    let start = Instant::now();
    while !folder.join("checkpoints/last/training.json").is_file() && child.try_wait()?.is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            child.kill()?;
            bail!("no checkpoint after two minutes");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    interrupt(&child)?;
    child.wait()?;
    Ok(())
}

fn interrupt(child: &Child) -> Result<()> {
    // It may have ended by itself: then there is nothing to stop.
    Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status()?;
    Ok(())
}

/// What a run leaves, without times.
struct Seen {
    journal: Vec<Value>,
    /// The tensors of checkpoints: by file and name what they are and their bytes.
    tensors: BTreeMap<String, (String, Vec<u8>)>,
}

impl Seen {
    fn read(folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(folder.join("metrics.jsonl")).context("metrics.jsonl")?;
        let journal = text.lines().map(line).collect::<Result<_>>()?;
        let mut tensors = BTreeMap::new();
        for place in ["last", "best"] {
            for file in ["model.safetensors", "training.safetensors"] {
                let path = folder.join("checkpoints").join(place).join(file);
                if path.is_file() {
                    read_tensors(&format!("{place}/{file}"), &fs::read(&path)?, &mut tensors)?;
                }
            }
        }
        Ok(Self { journal, tensors })
    }

    fn expect_same(&self, other: &Self) -> Result<()> {
        for (at, (a, b)) in self.journal.iter().zip(&other.journal).enumerate() {
            if a != b {
                bail!("line {} of the journal: {a} and {b}", at + 1);
            }
        }
        if self.journal.len() != other.journal.len() {
            bail!("journals of {} and {} lines", self.journal.len(), other.journal.len());
        }
        let [names, others] = [&self.tensors, &other.tensors].map(|tensors| tensors.keys().collect::<Vec<_>>());
        if names != others || names.is_empty() {
            bail!("tensors {names:?} and {others:?}");
        }
        match self.tensors.iter().find(|(name, tensor)| other.tensors.get(*name) != Some(tensor)) {
            Some((name, _)) => bail!("{name} differs"),
            None => Ok(()),
        }
    }
}

/// The tensors of a safetensors file; variables go by their present names.
fn read_tensors(file: &str, bytes: &[u8], tensors: &mut BTreeMap<String, (String, Vec<u8>)>) -> Result<()> {
    let (length, rest) = bytes.split_first_chunk::<8>().context("a safetensors file is too short")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let header: BTreeMap<String, Value> =
        serde_json::from_slice(rest.get(..length).context("a safetensors file is too short")?)?;
    for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let at = |i: usize| tensor["data_offsets"][i].as_u64().map(|at| length + at as usize);
        let values =
            at(0).zip(at(1)).and_then(|(from, to)| rest.get(from..to)).context("a tensor lies beyond its file")?;
        let what = format!("{} {}", tensor["dtype"], tensor["shape"]);
        tensors.insert(format!("{file}: {}", name.replace("centre", "center")), (what, values.to_vec()));
    }
    Ok(())
}

/// A line of the journal without its times.
fn line(text: &str) -> Result<Value> {
    let mut value: Value = serde_json::from_str(text).context("a line of the journal is no JSON")?;
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !key.ends_with("seconds"));
    }
    Ok(value)
}

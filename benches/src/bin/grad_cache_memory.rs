//! What training holds in memory at most: a batch of 64 pictures, one of 4,096 in pieces of 64, and larger ones at once. Every
//! case is a process of its own that trains on as many pictures; Linux tells what it held. Prints a table, and every number as JSON
//! behind it.
#![forbid(unsafe_code)]

use clap::Parser;
use npair_benches::{Result, peak_kib};
use npair_recipe::{Config, Training};
use npair_train::{Callback, Moment, StepReport, keep_freed_memory};
use serde_json::{Value, json};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::Command;

/// Pictures of a batch, and of a piece; 0 for the batch at once.
const CASES: [(usize, usize); 4] = [(64, 0), (256, 0), (1024, 64), (4096, 64)];

/// Pictures that every case trains on: what an allocator leaves between its blocks grows with the passes.
const PICTURES: usize = 8192;

#[derive(Parser)]
struct Args {
    /// A folder for the runs; it may be thrown away afterwards.
    folder: PathBuf,
    /// One case alone, in this process: pictures of a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// Pictures of a piece.
    #[arg(long, default_value_t = 0)]
    piece: usize,
    /// Keep freed memory as the command `npair` does, instead of handing large blocks back.
    #[arg(long)]
    keep: bool,
    /// Height and width of a picture.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// D, the width of an embedding.
    #[arg(long, default_value_t = 64)]
    embedding: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.keep {
        keep_freed_memory();
    }
    match args.batch {
        Some(batch) => {
            rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
            say(&measure(&args, batch)?.to_string())
        }
        None => all(&args),
    }
}

fn all(args: &Args) -> Result<()> {
    let mut found = Vec::new();
    say("| pictures a step | in pieces of | most memory, MiB | seconds a step |\n|---:|---:|---:|---:|")?;
    for (batch, piece) in CASES {
        let folder = args.folder.join(format!("{batch}-{piece}"));
        let [batch, piece, size, embedding, threads] =
            [batch, piece, args.size, args.embedding, args.threads].map(|n| n.to_string());
        let named = [("--batch", &batch), ("--piece", &piece), ("--size", &size), ("--embedding", &embedding)];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(&folder).args(["--threads", &threads]);
        if args.keep {
            command.arg("--keep");
        }
        named.iter().for_each(|(name, value)| {
            command.args([*name, value.as_str()]);
        });
        let out = command.output()?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).into_owned().into());
        }
        let case: Value = serde_json::from_slice(&out.stdout)?;
        let number = |key: &str| case[key].as_f64().unwrap_or(f64::NAN);
        let pieces = if piece == "0" { "at once".to_owned() } else { piece };
        say(&format!("| {batch} | {pieces} | {:.1} | {:.2} |", number("peak_kib") / 1024., number("seconds")))?;
        found.push(case);
    }
    say(&format!("\n{}", json!({ "size": args.size, "embedding": args.embedding, "cases": found })))
}

/// The last step's time.
#[derive(Default)]
struct Last(f64);

impl Callback for Last {
    fn name(&self) -> &str {
        "last"
    }
    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        self.0 = report.seconds;
        Ok(())
    }
}

fn measure(args: &Args, batch: usize) -> Result<Value> {
    let sets = [
        "data.glyphs.classes=2200".to_owned(),
        "data.glyphs.instances=2".to_owned(),
        format!("data.glyphs.size={}", args.size),
        "data.cache_mib=0".to_owned(),
        "data.split.by=classes".to_owned(),
        "data.split.val=4".to_owned(),
        "data.split.test=4".to_owned(),
        format!("images.size={}", args.size),
        "images.invert=true".to_owned(),
        format!("training.steps={}", (PICTURES / batch).max(1)),
        "training.eval_every=0".to_owned(),
        format!("model.embedding={}", args.embedding),
        format!("batch.classes={}", batch / 2),
        format!("training.grad_cache={}", args.piece),
    ];
    let mut last = Last::default();
    let mut training = Training::start(Config::parse("the bench", "", &sets)?, &args.folder)?;
    let parameters: usize = training.model().variables().iter().map(|(_, var)| var.elem_count()).sum();
    training.train(&mut last)?;
    let embeddings = batch * args.embedding * 4 / 1024;
    Ok(json!({
        "batch": batch, "piece": args.piece, "parameters": parameters, "peak_kib": peak_kib()?,
        "embeddings_kib": embeddings, "seconds": last.0,
    }))
}

fn say(what: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{what}")?;
    Ok(out.flush()?)
}

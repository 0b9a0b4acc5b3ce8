//! `cargo xtask bench`: runs the benches, or npair and a peer in turn, and keeps what was measured.

mod case;
mod criterion;
mod peer;
mod peers;
mod python;
mod ratio;

use crate::machine::{self, Origin};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Runs the benches of npair-benches and writes benches/runs/DATE-MACHINE/{README.md,raw.json,summary.md}.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench                              all of them
  cargo xtask bench class_mining                 one; the folder then holds that one alone
  cargo xtask bench --peers                      against PyTorch, faiss and others, in turn, into DATE-MACHINE-peers
  cargo xtask bench --peers --only conv-net --only top- --python peers/bin/python")]
pub struct Args {
    /// A bench: the name of its file in benches/benches.
    #[arg(value_name = "NAME", conflicts_with = "peers")]
    name: Option<String>,
    /// Where to write instead.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Times networks, losses and searches against the libraries that people use today.
    #[arg(long)]
    peers: bool,
    /// With --peers: only the case of this name, or those whose name contains it; may be given several times.
    #[arg(long, value_name = "NAME", requires = "peers")]
    only: Vec<String>,
    /// With --peers: how often each side is timed, in turn; fewer where a round takes long.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// With --peers: threads of each side.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// With --peers: a Python that has benches/peers/requirements.txt; without it one is made in the target folder.
    #[arg(long, value_name = "PATH", requires = "peers")]
    python: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    if args.peers { peers::run(args) } else { criterion::run(args) }
}

/// The folder of a run, and its three files; said to whoever waits.
fn keep(out: &Path, readme: String, summary: &str, raw: &impl serde::Serialize) -> Result<()> {
    put(out, readme, summary, raw)?;
    println!("{summary}\nWritten: {}", out.display());
    Ok(())
}

/// The same without a word, for what has been measured so far.
fn put(out: &Path, readme: String, summary: &str, raw: &impl serde::Serialize) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let write = |name: &str, text: String| {
        std::fs::write(out.join(name), text).with_context(|| format!("{} cannot be written", out.join(name).display()))
    };
    write("raw.json", format!("{}\n", serde_json::to_string(raw)?))?;
    write("summary.md", format!("# Medians\n\n{summary}"))?;
    write("README.md", readme)
}

/// Where a run is kept unless it is said.
fn usual(root: &Path, origin: &Origin, kind: &str) -> PathBuf {
    root.join("benches/runs").join(format!("{}-{}{kind}", origin.date, machine::slug(&origin.cpu)))
}

/// How busy the machine was before, as a line of a list.
fn load_line(load: Option<f64>) -> String {
    let load = load.map_or("unknown".to_owned(), |l| format!("{l:.2} (1 for each core that is busy)"));
    format!("- load before: {load}\n")
}

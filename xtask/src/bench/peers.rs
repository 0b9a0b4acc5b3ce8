//! `cargo xtask bench --peers`: networks of npair and PyTorch, timed in turn.

use super::case::Case;
use super::peer::Peer;
use super::ratio::{Ratio, Times, median};
use super::{Args, python};
use crate::machine::{self, Origin};
use crate::{shell, tree};
use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Requests before anything counts.
const WARM_UP: u32 = 2;
const REQUESTS: [&str; 2] = ["step", "embed"];
/// What other programs may take of the machine before ratios say more about them than about the sides.
const QUIET: f64 = 0.05;
/// The peer in its own layout, and in the one that oneDNN likes.
const LAYOUTS: [&str; 2] = ["channels-first", "channels-last"];

/// What both sides did of one network.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    title: String,
    /// What our side and the peer said about themselves.
    ours: Value,
    theirs: Value,
    comparisons: Vec<Comparison>,
    /// The part of the machine's processors that other programs took meanwhile.
    others: Option<f64>,
}

/// One request, with the peer in one layout.
#[derive(Debug, Serialize)]
struct Comparison {
    request: &'static str,
    layout: &'static str,
    /// Milliseconds.
    times: Times,
    ratio: Ratio,
    memory: Option<Memory>,
}

/// Bytes: the most that a process ever had which did nothing else, libraries included, and what it had before it began.
#[derive(Debug, Clone, Copy, Serialize)]
struct Memory {
    ours: [u64; 2],
    theirs: [u64; 2],
}

struct Sides {
    ours: PathBuf,
    python: PathBuf,
    script: PathBuf,
    threads: u32,
}

impl Sides {
    fn ours(&self, case: &Case) -> Result<std::result::Result<Peer, String>> {
        let mut command = Command::new(&self.ours);
        // candle asks the environment for the number of its threads.
        command
            .arg(case.backbone)
            .args(case.arguments(self.threads))
            .env("RAYON_NUM_THREADS", self.threads.to_string());
        Peer::start(command, "npair")
    }

    fn theirs(&self, case: &Case, layout: &str) -> Result<Peer> {
        let mut command = Command::new(&self.python);
        command
            .arg("-B")
            .arg(&self.script)
            .arg(case.peer)
            .args(case.arguments(self.threads))
            .args(["--layout", layout]);
        match Peer::start(command, "PyTorch")? {
            Ok(peer) => Ok(peer),
            Err(why) => bail!("PyTorch cannot build {}: {why}", case.name),
        }
    }

    /// The reason if this build of npair does not have the network.
    fn measure(&self, case: &'static Case, pairs: u32) -> Result<std::result::Result<Measured, String>> {
        let mut ours = match self.ours(case)? {
            Ok(peer) => peer,
            Err(why) => return Ok(Err(why)),
        };
        let [first, last] = LAYOUTS.map(|layout| self.theirs(case, layout));
        let mut theirs = [first?, last?];
        let before = machine::ticks().zip(taken(&ours, &theirs));
        let mut comparisons = Vec::new();
        for request in REQUESTS {
            let mut times = [Times::default(), Times::default()];
            for round in 0..WARM_UP + pairs {
                let mine = ours.time(request)?;
                for (peer, times) in theirs.iter_mut().zip(&mut times) {
                    let its = peer.time(request)?;
                    if round >= WARM_UP {
                        times.ours.push(mine);
                        times.theirs.push(its);
                    }
                }
            }
            for (layout, times) in LAYOUTS.into_iter().zip(times) {
                comparisons.push(Comparison { request, layout, ratio: times.ratio(), times, memory: None });
            }
        }
        let others =
            machine::ticks().zip(taken(&ours, &theirs)).zip(before).map(|((all, own), (all_before, own_before))| {
                let (busy, total) = (all[0] - all_before[0], (all[1] - all_before[1]).max(1));
                busy.saturating_sub(own - own_before) as f64 / total as f64
            });
        let (said, its) = (ours.ready.clone(), theirs[0].ready.clone());
        // Memory is measured with nothing else running.
        drop((ours, theirs));
        for comparison in &mut comparisons {
            comparison.memory = self.memory(case, comparison.request, comparison.layout)?;
        }
        Ok(Ok(Measured { name: case.name, title: case.title(), ours: said, theirs: its, comparisons, others }))
    }

    fn memory(&self, case: &Case, request: &str, layout: &str) -> Result<Option<Memory>> {
        let of = |mut peer: Peer| -> Result<Option<[u64; 2]>> {
            let before = peer.memory();
            for _ in 0..=WARM_UP {
                peer.time(request)?;
            }
            Ok(peer.memory().zip(before).map(|(most, before)| [most, before]))
        };
        let Ok(ours) = self.ours(case)? else { return Ok(None) };
        let (ours, theirs) = (of(ours)?, of(self.theirs(case, layout)?)?);
        Ok(ours.zip(theirs).map(|(ours, theirs)| Memory { ours, theirs }))
    }
}

/// Processor time of all sides together.
fn taken(ours: &Peer, theirs: &[Peer]) -> Option<u64> {
    theirs.iter().chain([ours]).map(Peer::ticks).sum()
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let cases = Case::pick(args.only.as_deref());
    if cases.is_empty() {
        bail!("no network is named like that; there are {}", Case::names());
    }
    let target = tree::Metadata::read(&root)?.target_directory;
    let python = python::find(&root, &target, args.python.as_deref())?;
    let mut build = shell::cargo(&root, &["build", "--release", "-p", "npair-benches", "--bin", "networks_peer"]);
    shell::step(&mut build, "mend what is named above")?;
    let binary = target.join("release").join(format!("networks_peer{}", std::env::consts::EXE_SUFFIX));
    let script = root.join("benches/peers/networks.py");
    let sides = Sides { ours: binary, python, script, threads: args.threads };
    let only = args.only.as_ref().map_or(String::new(), |name| format!(" --only {name}"));
    let line = format!("cargo xtask bench --peers{only} --pairs {} --threads {}", args.pairs, args.threads);
    let (origin, load) = (Origin::of(&root, &line), machine::load());
    let (mut measured, mut not_built) = (Vec::new(), Vec::new());
    for case in cases {
        println!("xtask: {}", case.title());
        match sides.measure(case, args.pairs)? {
            Ok(of) => measured.push(of),
            Err(why) => {
                println!("xtask: {} is not built: {why}", case.name);
                not_built.push(case.name);
            }
        }
    }
    let summary = summary(&measured, &not_built);
    let readme = readme(&origin, load, &measured, args);
    let out = args.out.clone().unwrap_or_else(|| super::usual(&root, &origin, "-peers"));
    super::keep(&out, readme, &summary, &measured)
}

fn readme(origin: &Origin, load: Option<f64>, measured: &[Measured], args: &Args) -> String {
    let versions = measured.first().map_or("unknown".to_owned(), |m| m.theirs["versions"]["torch"].to_string());
    format!(
        "# npair and PyTorch, in turn\n\n{}{}- PyTorch: {}\n- threads of each side: {}\n\n\
         After {WARM_UP} rounds of warm-up, {} rounds: npair, PyTorch channels-first, PyTorch channels-last, each in a process of \
         its own. A ratio is npair's time over PyTorch's of the same round; below 1 npair is faster. \
         The ratio of the least times of each side is what a busy machine disturbs least. `step` is forward, N-pair-mc, \
         backward and Adam; `embed` is evaluation, PyTorch's with batch norms folded. Memory is the most that a fresh process \
         which did nothing else ever held (VmHWM), libraries included; `of it` is what it held before the first request. \
         raw.json has every sample, in milliseconds and bytes.\n",
        origin.markdown(),
        super::load_line(load),
        versions.trim_matches('"'),
        args.threads,
        args.pairs,
    )
}

fn summary(measured: &[Measured], not_built: &[&str]) -> String {
    let mut text = String::from(
        "| network | request | PyTorch's layout | npair, ms | PyTorch, ms | ratio | least to most | ratio of the least times | npair, MiB (of it at start) \
         | PyTorch, MiB (of it at start) | ratio of memory |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mib = |[most, before]: [u64; 2]| format!("{:.0} ({:.0})", most as f64 / 1048576., before as f64 / 1048576.);
    for (m, c) in measured.iter().flat_map(|m| m.comparisons.iter().map(move |c| (m, c))) {
        let unknown = || ["?"; 3].map(str::to_owned);
        let [ours, theirs, share] = c.memory.map_or_else(unknown, |memory| {
            let share = memory.ours[0] as f64 / memory.theirs[0] as f64;
            [mib(memory.ours), mib(memory.theirs), format!("{share:.2}")]
        });
        let (mine, its, ratio) = (median(&c.times.ours), median(&c.times.theirs), c.ratio);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {mine:.1} | {its:.1} | {:.2} | {:.2} to {:.2} | {:.2} | {ours} | {theirs} | {share} |",
            m.title, c.request, c.layout, ratio.median, ratio.least, ratio.most, ratio.of_least
        );
    }
    for m in measured {
        let Some(others) = m.others else { continue };
        let _ =
            write!(text, "\nWhile {} was timed, other programs took {:.0} % of the machine.", m.name, 100. * others);
        if others > QUIET {
            text.push_str(" **That is too much: threads that wait for each other suffer most. Measure again.**");
        }
        text.push('\n');
    }
    if !not_built.is_empty() {
        let _ = writeln!(text, "\nNot built in this version of npair: {}.", not_built.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_per_comparison_and_names_what_is_missing() {
        let times = Times { ours: vec![2., 4.], theirs: vec![4., 8.] };
        let memory = Some(Memory { ours: [1 << 20, 0], theirs: [4 << 20, 2 << 20] });
        let comparison = Comparison { request: "step", layout: "channels-last", ratio: times.ratio(), times, memory };
        let (ours, theirs) = (Value::Null, Value::Null);
        let title = "a net".to_owned();
        let text = summary(
            &[Measured { name: "n", title, ours, theirs, comparisons: vec![comparison], others: Some(0.25) }],
            &["other"],
        );
        let line = "| a net | step | channels-last | 3.0 | 6.0 | 0.50 | 0.50 to 0.50 | 0.50 | 1 (0) | 4 (2) | 0.25 |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("other programs took 25 % of the machine. **That is too much"), "{text}");
        assert!(text.contains("Not built in this version of npair: other."));
    }
}

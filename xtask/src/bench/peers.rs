//! `cargo xtask bench --peers`: npair and the libraries that people use today, timed in turn.

use super::case::{Case, Other};
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
use std::time::Duration;

/// The threads of PyTorch and of faiss stay awake for a fifth of a second after their work; on as many cores as threads we
/// would be timed together with them.
const PAUSE: Duration = Duration::from_millis(300);
/// A case with no more rounds takes long: seconds for one request.
const FEW: u32 = 7;
/// Requests before anything counts; one where there is time for few.
const WARM_UP: u32 = 2;
/// What other programs may take of the machine before ratios say more about them than about the sides.
const QUIET: f64 = 0.05;

/// What both sides did of one case.
#[derive(Debug, Serialize)]
struct Measured {
    name: String,
    title: String,
    /// What our side and the peers said about themselves.
    ours: Value,
    theirs: Vec<Value>,
    comparisons: Vec<Comparison>,
    /// The part of the machine's processors that other programs took meanwhile.
    others: Option<f64>,
}

/// One request, with one peer.
#[derive(Debug, Serialize)]
struct Comparison {
    request: &'static str,
    peer: &'static str,
    /// Milliseconds.
    times: Times,
    ratio: Ratio,
    memory: Option<Memory>,
    /// Operations of the request, where they are known.
    work: Option<f64>,
}

/// Bytes: the most that a process ever had which did nothing else, libraries included, and what it had before it began.
#[derive(Debug, Clone, Copy, Serialize)]
struct Memory {
    ours: [u64; 2],
    theirs: [u64; 2],
}

struct Sides {
    /// Where the programs of npair-benches are.
    binaries: PathBuf,
    python: PathBuf,
    scripts: PathBuf,
    threads: u32,
}

impl Sides {
    /// Our side; with `more` arguments.
    fn ours(&self, case: &Case, more: &[&str]) -> Result<std::result::Result<Peer, String>> {
        let mut command = Command::new(self.binaries.join(format!("{}{}", case.binary, std::env::consts::EXE_SUFFIX)));
        // candle asks the environment for the number of its threads.
        command.args(&case.ours).args(more).env("RAYON_NUM_THREADS", self.threads.to_string());
        Peer::start(command, "npair")
    }

    /// None if this machine cannot run it in this way.
    fn theirs(&self, case: &Case, peer: &Other, more: &[&str]) -> Result<Option<Peer>> {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(self.scripts.join(peer.script)).args(&peer.arguments).args(more);
        let started = Peer::start(command, peer.label)?;
        if let Err(why) = &started {
            println!("xtask: {} cannot build {}: {why}", peer.label, case.name);
        }
        Ok(started.ok())
    }

    /// The peers that this machine can run.
    fn peers<'a>(&self, case: &'a Case, more: &[&str]) -> Result<Vec<(&'a Other, Peer)>> {
        let mut started = Vec::new();
        for peer in &case.peers {
            started.extend(self.theirs(case, peer, more)?.map(|running| (peer, running)));
        }
        if started.is_empty() {
            bail!("no peer can build {}", case.name);
        }
        Ok(started)
    }

    /// The reason if this build of npair does not have the network.
    fn measure(&self, case: &Case, pairs: u32) -> Result<std::result::Result<Measured, String>> {
        let more: &[&str] = if case.values.is_empty() { &[] } else { &["--values"] };
        let mut ours = match self.ours(case, more)? {
            Ok(peer) => peer,
            Err(why) => return Ok(Err(why)),
        };
        let mut theirs = self.peers(case, more)?;
        for (peer, theirs) in &theirs {
            agree(case, &ours.ready, peer.label, &theirs.ready)?;
        }
        let before = machine::ticks().zip(taken(&ours, &theirs));
        let (warm_up, pairs) = (WARM_UP.min(case.rounds / 3).max(1), pairs.min(case.rounds));
        let mut comparisons = Vec::new();
        for &request in &case.requests {
            let mut times = vec![Times::default(); theirs.len()];
            for round in 0..warm_up + pairs {
                std::thread::sleep(PAUSE);
                let mine = awake(&mut ours, request, case.rounds)?;
                for ((_, peer), times) in theirs.iter_mut().zip(&mut times) {
                    std::thread::sleep(PAUSE);
                    let its = awake(peer, request, case.rounds)?;
                    if round >= warm_up {
                        times.ours.push(mine);
                        times.theirs.push(its);
                    }
                }
            }
            let work = ours.ready["work"][request].as_f64();
            for ((peer, _), times) in theirs.iter().zip(times) {
                let (peer, ratio) = (peer.label, times.ratio());
                comparisons.push(Comparison { request, peer, ratio, times, memory: None, work });
            }
        }
        let others =
            machine::ticks().zip(taken(&ours, &theirs)).zip(before).map(|((all, own), (all_before, own_before))| {
                let (busy, total) = (all[0] - all_before[0], (all[1] - all_before[1]).max(1));
                busy.saturating_sub(own - own_before) as f64 / total as f64
            });
        let (said, its) = (ours.ready.clone(), theirs.iter().map(|(_, peer)| peer.ready.clone()).collect());
        let measured: Vec<&Other> = theirs.iter().map(|(peer, _)| *peer).collect();
        // Memory is measured with nothing else running.
        drop((ours, theirs));
        for (at, comparison) in comparisons.iter_mut().enumerate() {
            let peer = measured[at % measured.len()];
            comparison.memory = self.memory(case, comparison.request, peer)?;
        }
        let (name, title) = (case.name.clone(), case.title.clone());
        Ok(Ok(Measured { name, title, ours: said, theirs: its, comparisons, others }))
    }

    fn memory(&self, case: &Case, request: &str, peer: &Other) -> Result<Option<Memory>> {
        let requests = if case.rounds < 2 * WARM_UP { 1 } else { 1 + WARM_UP };
        let of = |mut peer: Peer| -> Result<Option<[u64; 2]>> {
            let before = peer.memory();
            for _ in 0..requests {
                peer.time(request)?;
            }
            Ok(peer.memory().zip(before).map(|(most, before)| [most, before]))
        };
        let Ok(ours) = self.ours(case, &[])? else { return Ok(None) };
        let Some(theirs) = self.theirs(case, peer, &[])? else { return Ok(None) };
        let (ours, theirs) = (of(ours)?, of(theirs)?);
        Ok(ours.zip(theirs).map(|(ours, theirs)| Memory { ours, theirs }))
    }
}

/// An error unless both sides come to the same values, as far as the case says.
fn agree(case: &Case, ours: &Value, label: &str, theirs: &Value) -> Result<()> {
    for &(name, part) in &case.values {
        let [mine, its] = [ours, theirs].map(|said| said["values"][name].as_f64());
        match (mine, its) {
            (Some(mine), Some(its)) if (mine - its).abs() <= part * its.abs() => {}
            (mine, its) => {
                bail!("{}: {name} is {mine:?} here and {its:?} of {label}; times would say nothing", case.name)
            }
        }
    }
    Ok(())
}

/// Milliseconds of a request. After the pause caches are the other's and the processor dozes: a short one is run once before.
fn awake(peer: &mut Peer, request: &str, rounds: u32) -> Result<f64> {
    if rounds > FEW {
        peer.time(request)?;
    }
    peer.time(request)
}

/// Processor time of all sides together.
fn taken(ours: &Peer, theirs: &[(&Other, Peer)]) -> Option<u64> {
    theirs.iter().map(|(_, peer)| peer).chain([ours]).map(Peer::ticks).sum()
}

/// Of every request the peer that was fastest, by the median of its times.
fn best(measured: &Measured) -> Vec<&Comparison> {
    let mut best: Vec<&Comparison> = Vec::new();
    for comparison in &measured.comparisons {
        let time = |c: &Comparison| median(&c.times.theirs);
        match best.iter_mut().find(|b| b.request == comparison.request) {
            Some(b) if time(comparison) < time(b) => *b = comparison,
            Some(_) => {}
            None => best.push(comparison),
        }
    }
    best
}

/// Ours against the best of the peer's ways.
fn against_the_best(measured: &[Measured]) -> String {
    let mut text = String::from(
        "\nAgainst the fastest peer of each request:\n\n| case | request | fastest peer | npair, ms | peer, ms | ratio |\n\
         |---|---|---|---:|---:|---:|\n",
    );
    for (m, c) in measured.iter().flat_map(|m| best(m).into_iter().map(move |c| (m, c))) {
        let (mine, its) = (median(&c.times.ours), median(&c.times.theirs));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {mine:.1} | {its:.1} | {:.2} |",
            m.title, c.request, c.peer, c.ratio.median
        );
    }
    text
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let cases = Case::pick(&args.only, args.threads);
    if cases.is_empty() {
        bail!("no case is named like that; there are {}", Case::names());
    }
    let target = tree::Metadata::read(&root)?.target_directory;
    let python = python::find(&root, &target, args.python.as_deref())?;
    let mut build = shell::cargo(&root, &["build", "--release", "-p", "npair-benches", "--bins"]);
    shell::step(&mut build, "mend what is named above")?;
    let sides =
        Sides { binaries: target.join("release"), python, scripts: root.join("benches/peers"), threads: args.threads };
    let only: String = args.only.iter().map(|name| format!(" --only {name}")).collect();
    let line = format!("cargo xtask bench --peers{only} --pairs {} --threads {}", args.pairs, args.threads);
    let (origin, load) = (Origin::of(&root, &line), machine::load());
    let out = args.out.clone().unwrap_or_else(|| super::usual(&root, &origin, "-peers"));
    let (mut measured, mut not_built) = (Vec::new(), Vec::new());
    for case in &cases {
        println!("xtask: {}", case.title);
        match sides.measure(case, args.pairs)? {
            Ok(of) => {
                measured.push(of);
                // A peer that fails later costs nothing of this.
                let (readme, summary) = (readme(&origin, load, &measured, args), summary(&measured, &not_built));
                super::put(&out, readme, &summary, &measured)?;
            }
            Err(why) => {
                println!("xtask: {} is not built: {why}", case.name);
                not_built.push(case.name.as_str());
            }
        }
    }
    let summary = summary(&measured, &not_built);
    let readme = readme(&origin, load, &measured, args);
    super::keep(&out, readme, &summary, &measured)
}

/// "torch 2.15.0, faiss 1.15.1": all that the peers named, once each.
fn versions(measured: &[Measured]) -> String {
    let named: std::collections::BTreeSet<String> = measured
        .iter()
        .flat_map(|m| &m.theirs)
        .filter_map(|said| said["versions"].as_object())
        .flatten()
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or("?")))
        .collect();
    named.into_iter().collect::<Vec<_>>().join(", ")
}

fn readme(origin: &Origin, load: Option<f64>, measured: &[Measured], args: &Args) -> String {
    format!(
        "# npair and its peers, in turn\n\n{}{}- peers: {}\n- threads of each side: {}\n\n\
         After some rounds of warm-up, up to {} rounds: npair, then each peer, each in a process of its own, after a pause in which \
         the others' threads fall asleep (and, where it is short, after one untimed run of the same). A ratio is \
         npair's time over the peer's of the same round; below 1 npair is faster. The ratio of the least times of each side \
         is what a busy machine disturbs least. Of a network, `step` is forward, N-pair-mc, backward and Adam, and `embed` \
         is evaluation, PyTorch's with batch norms folded; of a loss, `step` is forward and backward, and `gemm` a matrix \
         product of its size by candle and by the peer. Memory is the most that a fresh process which did nothing else ever \
         held (VmHWM), libraries included; `at start` is what it held before the first request. raw.json has every sample, \
         in milliseconds and bytes.\n",
        origin.markdown(),
        super::load_line(load),
        versions(measured),
        args.threads,
        args.pairs,
    )
}

fn summary(measured: &[Measured], not_built: &[&str]) -> String {
    let mut text = String::from(
        "| case | request | peer | npair, ms | peer, ms | ratio | least to most | ratio of the least times | npair, GFLOP/s \
         | peer, GFLOP/s | npair, MiB (at start) | peer, MiB (at start) | ratio of memory |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mib = |[most, before]: [u64; 2]| format!("{:.0} ({:.0})", most as f64 / 1048576., before as f64 / 1048576.);
    for (m, c) in measured.iter().flat_map(|m| m.comparisons.iter().map(move |c| (m, c))) {
        let unknown = || ["?"; 3].map(str::to_owned);
        let [ours, theirs, share] = c.memory.map_or_else(unknown, |memory| {
            let share = memory.ours[0] as f64 / memory.theirs[0] as f64;
            [mib(memory.ours), mib(memory.theirs), format!("{share:.2}")]
        });
        let (mine, its, ratio) = (median(&c.times.ours), median(&c.times.theirs), c.ratio);
        // Operations a millisecond are 1e-6 GFLOP/s.
        let [mine_rate, its_rate] =
            [mine, its].map(|ms| c.work.map_or("".to_owned(), |work| format!("{:.0}", 1e-6 * work / ms)));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {mine:.1} | {its:.1} | {:.2} | {:.2} to {:.2} | {:.2} | {mine_rate} | {its_rate} | {ours} | {theirs} | {share} |",
            m.title, c.request, c.peer, ratio.median, ratio.least, ratio.most, ratio.of_least
        );
    }
    text.push_str(&against_the_best(measured));
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
    fn sides_that_differ_are_not_timed() {
        let case = &Case::pick(&["retrieval".to_owned()], 2)[0];
        let said = |map: f64| {
            let values =
                serde_json::json!({ "precision_at_1": 0.6, "r_precision": 0.4, "mean_average_precision_at_r": map });
            serde_json::json!({ "values": values })
        };
        agree(case, &said(0.3), "x", &said(0.3001)).unwrap();
        let why = agree(case, &said(0.3), "x", &said(0.31)).unwrap_err().to_string();
        assert!(why.contains("mean_average_precision_at_r is Some(0.3) here and Some(0.31) of x"), "{why}");
        assert!(agree(case, &Value::Null, "x", &said(0.3)).is_err());
    }

    #[test]
    fn the_table_has_a_line_per_comparison_and_names_what_is_missing() {
        let times = Times { ours: vec![2., 4.], theirs: vec![4., 8.] };
        let memory = Some(Memory { ours: [1 << 20, 0], theirs: [4 << 20, 2 << 20] });
        let (request, peer, ratio) = ("step", "PyTorch", times.ratio());
        let comparison = Comparison { request, peer, ratio, times, memory, work: Some(6e6) };
        let slower = Times { ours: vec![3.], theirs: vec![12.] };
        let (ratio, peer) = (slower.ratio(), "another");
        let slower = Comparison { request, peer, ratio, times: slower, memory, work: None };
        let theirs = vec![serde_json::json!({ "versions": { "torch": "2" } })];
        let (name, title, ours) = ("n".to_owned(), "a net".to_owned(), Value::Null);
        let measured =
            [Measured { name, title, ours, theirs, comparisons: vec![slower, comparison], others: Some(0.25) }];
        assert_eq!(versions(&measured), "torch 2");
        let text = summary(&measured, &["other"]);
        let line = "| a net | step | PyTorch | 3.0 | 6.0 | 0.50 | 0.50 to 0.50 | 0.50 | 2 | 1 | 1 (0) | 4 (2) | 0.25 |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("| a net | step | PyTorch | 3.0 | 6.0 | 0.50 |\n"), "{text}");
        assert!(!text.contains("| a net | step | another | 3.0 | 12.0 | 0.25 |\n"), "{text}");
        assert!(text.contains("other programs took 25 % of the machine. **That is too much"), "{text}");
        assert!(text.contains("Not built in this version of npair: other."));
    }
}

//! `cargo xtask bench --losses`: losses of npair and pytorch-metric-learning, timed in turn.

use super::peer::Peer;
use super::ratio::{Ratio, Times, median};
use super::{Args, python};
use crate::machine::{self, Origin};
use crate::{shell, tree};
use anyhow::{Result, bail};
use serde::Serialize;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// Requests before anything counts.
const WARM_UP: u32 = 2;
/// PyTorch's threads stay awake for a fifth of a second after their work; on as many cores as threads they would be timed
/// with us.
const PAUSE: Duration = Duration::from_millis(300);

/// Names that both sides know: benches/peers/losses.py and benches/src/bin/losses_peer.rs. Both know lifted-structure too, but
/// one call of the peer's takes more than half a minute.
const LOSSES: [&str; 21] = [
    "multi-similarity",
    "triplet-batch-hard",
    "triplet-margin-all",
    "contrastive-all",
    "generalised-lifted-structure",
    "circle",
    "fast-ap",
    "smooth-ap",
    "ranked-list",
    "histogram",
    "margin",
    "nt-xent",
    "sup-con",
    "tuplet-margin",
    "angular",
    "proxy-nca",
    "proxy-anchor",
    "arc-face",
    "cos-face",
    "normalised-softmax",
    "soft-triple",
];

/// What both sides did of one loss, in milliseconds.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    times: Times,
    ratio: Ratio,
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let names: Vec<&str> =
        LOSSES.into_iter().filter(|name| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()))).collect();
    if names.is_empty() {
        bail!("no loss is named like that; there are {}", LOSSES.join(", "));
    }
    let target = tree::Metadata::read(&root)?.target_directory;
    let python = python::find(&root, &target, args.python.as_deref())?;
    let mut build = shell::cargo(&root, &["build", "--release", "-p", "npair-benches", "--bin", "losses_peer"]);
    shell::step(&mut build, "mend what is named above")?;
    let mut ours = Command::new(target.join("release").join(format!("losses_peer{}", std::env::consts::EXE_SUFFIX)));
    let mut theirs = Command::new(&python);
    theirs.arg("-B").arg(root.join("benches/peers/losses.py"));
    for side in [&mut ours, &mut theirs] {
        side.args(["--threads", &args.threads.to_string()]);
    }
    ours.env("RAYON_NUM_THREADS", args.threads.to_string());
    let only = args.only.as_ref().map_or(String::new(), |name| format!(" --only {name}"));
    let line = format!("cargo xtask bench --losses{only} --pairs {} --threads {}", args.pairs, args.threads);
    let (origin, load) = (Origin::of(&root, &line), machine::load());
    let (mut ours, mut theirs) = (start(ours, "npair")?, start(theirs, "pytorch-metric-learning")?);
    let versions = theirs.ready["versions"].to_string();
    let mut measured = Vec::new();
    for name in names {
        println!("xtask: {name}");
        let mut times = Times::default();
        for round in 0..WARM_UP + args.pairs {
            std::thread::sleep(PAUSE);
            let (mine, its) = (ours.time(name)?, theirs.time(name)?);
            if round >= WARM_UP {
                times.ours.push(mine);
                times.theirs.push(its);
            }
        }
        measured.push(Measured { name, ratio: times.ratio(), times });
    }
    let out = args.out.clone().unwrap_or_else(|| super::usual(&root, &origin, "-losses"));
    let readme = format!(
        "# Losses of npair and pytorch-metric-learning, in turn\n\n{}{}- the other side: {versions}\n- threads of each side: {}\n\n\
         A batch of 1,024 rows of 128 numbers in f32, 256 classes of 4; loss and gradient. After {WARM_UP} rounds of warm-up, \
         {} rounds: a pause in which PyTorch's threads fall asleep, npair, pytorch-metric-learning. A ratio is npair's time over \
         the other's of the same round. raw.json has every sample, in milliseconds.\n",
        origin.markdown(),
        super::load_line(load),
        args.threads,
        args.pairs,
    );
    super::keep(&out, readme, &summary(&measured), &measured)
}

fn start(command: Command, name: &str) -> Result<Peer> {
    match Peer::start(command, name)? {
        Ok(peer) => Ok(peer),
        Err(why) => bail!("{name} cannot be started: {why}"),
    }
}

fn summary(measured: &[Measured]) -> String {
    let mut text = String::from(
        "| loss | npair, ms | pytorch-metric-learning, ms | ratio | least to most | ratio of the least times |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    for Measured { name, times, ratio } in measured {
        let (mine, its) = (median(&times.ours), median(&times.theirs));
        let Ratio { median, least, most, of_least } = ratio;
        let _ =
            writeln!(text, "| {name} | {mine:.1} | {its:.1} | {median:.2} | {least:.2} to {most:.2} | {of_least:.2} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_per_loss() {
        let times = Times { ours: vec![2., 4.], theirs: vec![8., 8.] };
        let text = summary(&[Measured { name: "circle", ratio: times.ratio(), times }]);
        assert!(text.contains("| circle | 3.0 | 8.0 | 0.38 | 0.25 to 0.50 | 0.25 |"), "{text}");
    }

    #[test]
    fn both_sides_know_every_name() {
        let root = crate::tree::root().unwrap();
        for file in ["benches/peers/losses.py", "benches/src/bin/losses_peer.rs"] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let missing: Vec<_> = LOSSES.iter().filter(|name| !text.contains(&format!("\"{name}\""))).collect();
            assert!(missing.is_empty(), "{file}: {missing:?}");
        }
    }
}

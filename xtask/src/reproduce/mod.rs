//! `cargo xtask reproduce`: the paper's comparison, from pictures to verdicts.

mod claims;
mod convergence;
mod experiment;
mod measured;
mod plot;
mod results;
mod runs;
mod statistics;
mod table;

use crate::machine::Origin;
use crate::{shell, tree};
use anyhow::{Context, Result};
use experiment::Experiment;
use measured::Measured;
use results::Results;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Trains and judges triplet, triplet with class mining, N-pair-ovo, N-pair-mc and softmax, and gives the paper's claims a
/// verdict each.
///
/// An interrupted call goes on where it was: what is finished is not trained again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask reproduce                                   the built-in glyph set, no network
  cargo xtask reproduce --quick                           only to see that everything runs
  cargo xtask reproduce --data omniglot=data/omniglot     real handwriting (cargo xtask fetch omniglot)
  cargo xtask reproduce --data photos/ --config my.toml   your own pictures")]
pub struct Args {
    /// Where pictures come from: glyphs, omniglot=PATH, or a folder with a folder per class.
    #[arg(long, value_name = "SOURCE", default_value = "glyphs")]
    data: String,
    /// Settings that all methods share [default: the source's file in xtask/experiments].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Where runs and results go [default: target/reproduce].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Steps of every run, instead of the experiment's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Only these methods: --methods triplet,n-pair-mc [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    methods: Vec<String>,
    /// 30 steps, to see that everything runs; no verdict is worth anything.
    #[arg(long, conflicts_with = "steps")]
    quick: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let root = tree::root()?;
    let out = args.out.clone().unwrap_or_else(|| root.join("target/reproduce"));
    let steps = if args.quick { Some(30) } else { args.steps };
    let mut experiment = Experiment::read(&root, &args.data, args.config.as_deref(), steps)?;
    experiment.keep(&args.methods)?;
    std::fs::create_dir_all(out.join("runs")).with_context(|| format!("{} cannot be made", out.display()))?;
    let out = out.canonicalize()?;

    let cure = "mend what the compiler names above";
    shell::step(&mut shell::cargo(&root, &["build", "--release", "-p", "npair"]), cure)?;
    let built = start.elapsed().as_secs_f64();
    let binary = tree::Metadata::read(&root)?.target_directory.join("release/npair");
    let runner = runs::Runner::new(binary, &experiment, &out)?;

    let (mut measured, all) = (Vec::new(), experiment.methods.len() as u64 * args.seeds);
    for seed in 1..=args.seeds {
        for method in &experiment.methods {
            let place = format!("[{}/{all}] {} seed {seed}", measured.len() + 1, method.name);
            println!("{place}: training");
            let one = runner.measure(method, seed)?;
            println!("{place}: {}", one.summary());
            measured.push(one);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let results = Results {
        origin: Origin::of(&root, &command()),
        data: experiment.description.clone(),
        source: portable(&args.data),
        seeds: (1..=args.seeds).collect(),
        quick: args.quick,
        build_seconds: built,
        seconds,
        claims: claims::of(&measured),
        measured,
    };
    results.write(&out)?;
    println!("\n{}", results.text());
    println!("Written: {}", files(&out).join(", "));
    println!("Total {:.0} s, of it {built:.0} s the build.", seconds);
    Ok(())
}

fn files(out: &Path) -> Vec<String> {
    let names = ["results.md", "results.json", "convergence.svg", "recall.svg", "neighbours.png"];
    names.iter().map(|n| out.join(n)).filter(|p| p.exists()).map(|p| p.display().to_string()).collect()
}

/// The command as it was typed, but for places that mean nothing on another machine.
fn command() -> String {
    let words = std::env::args().skip(1).map(|w| {
        let w = portable(&w);
        if w.contains(' ') { format!("'{w}'") } else { w }
    });
    format!("cargo xtask {}", words.collect::<Vec<_>>().join(" "))
}

/// A word of the command line with absolute paths left out.
fn portable(word: &str) -> String {
    match word.split_once('=') {
        Some((key, value)) if Path::new(value).is_absolute() => format!("{key}=PATH"),
        Some((key, value)) if value.contains('=') => format!("{key}={}", portable(value)),
        _ if Path::new(word).is_absolute() => "PATH".to_owned(),
        _ => word.to_owned(),
    }
}

/// Measurements of one method, in the order of seeds.
fn of_method<'a>(measured: &'a [Measured], name: &str) -> Vec<&'a Measured> {
    measured.iter().filter(|m| m.method == name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_machine_is_named() {
        let words = ["--quick", "/a/b", "omniglot=/a/b", "--data=omniglot=/a/b", "omniglot=data", "--seeds=3"];
        let shown = ["--quick", "PATH", "omniglot=PATH", "--data=omniglot=PATH", "omniglot=data", "--seeds=3"];
        assert_eq!(words.map(portable), shown);
    }
}

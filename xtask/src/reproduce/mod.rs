//! `cargo xtask reproduce`: the paper's comparison, from pictures to verdicts.

mod claims;
mod convergence;
mod experiment;
mod measured;
mod paper;
mod plot;
mod recipe;
mod results;
mod runs;
mod source;
mod statistics;
mod table;
mod tables;

use crate::machine::Origin;
use crate::{shell, tree};
use anyhow::{Context, Result, bail};
use experiment::Experiment;
use measured::Measured;
use paper::{Paper, TABLES};
use results::Results;
use source::{QUICK_STEPS, Size, Source};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tables::{Filled, Tables};

/// Trains and judges triplet, triplet with class mining, N-pair-ovo, N-pair-mc and softmax, and gives the paper's claims a
/// verdict each; with --table, fills the paper's tables.
///
/// An interrupted call goes on where it was: what is finished is not trained again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask reproduce                                   the built-in glyph set, no network
  cargo xtask reproduce --quick                           only to see that everything runs
  cargo xtask reproduce --data omniglot=data/omniglot     real handwriting (cargo xtask fetch omniglot)
  cargo xtask reproduce --data photos/ --config my.toml   your own pictures

  cargo xtask reproduce --table all                       Tables 1 to 4 and convergence, on the glyph set
  cargo xtask reproduce --table 2,4 --data cub=PATH       CUB-200-2011, at a size for two cores
  cargo xtask reproduce --table 2 --full --data sop=PATH  Online Products at the paper's size
  cargo xtask reproduce --table 3 --data webface=PATH --data lfw=PATH
  cargo xtask reproduce --table omniglot --data omniglot=PATH   the Omniglot recipe: one-shot and retrieval")]
pub struct Args {
    /// Where pictures come from: glyphs, omniglot=PATH, cub=PATH, cars=PATH, sop=PATH, webface=PATH with lfw=PATH, or a folder with
    /// a folder per class (without --table).
    #[arg(long, value_name = "SOURCE", default_value = "glyphs")]
    data: Vec<String>,
    /// The paper's tables to fill: 1, 2, 3, 4, convergence, all; or omniglot, the recipe.
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    table: Vec<Table>,
    /// The paper's own size: networks, pictures, steps. For machines that can.
    #[arg(long, requires = "table", conflicts_with_all = ["quick", "steps"])]
    full: bool,
    /// Settings that all methods share [default: the source's file in xtask/experiments].
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
    config: Option<PathBuf>,
    /// Seeds 1 to N [default: 2; 3 for tables].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Where runs and results go [default: target/reproduce, for tables target/tables/SOURCE].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Steps of every run, instead of the experiment's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Only these methods: --methods triplet,n-pair-mc [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "table")]
    methods: Vec<String>,
    /// 30 steps, to see that everything runs; no verdict is worth anything.
    #[arg(long, conflicts_with = "steps")]
    quick: bool,
}

/// What `--table` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Table {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
    #[value(name = "3")]
    Three,
    #[value(name = "4")]
    Four,
    Convergence,
    All,
    Omniglot,
}

impl Table {
    /// Whether it asks for the table of this name.
    fn asks_for(self, name: &str) -> bool {
        use clap::ValueEnum;
        self == Self::All || self.to_possible_value().is_some_and(|v| v.get_name() == name)
    }
}

impl Args {
    fn size(&self) -> Size {
        match (self.quick, self.full) {
            (true, _) => Size::Quick,
            (_, true) => Size::Full,
            _ => Size::Usual,
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    match (args.table.contains(&Table::Omniglot), args.table.is_empty()) {
        (true, _) if args.table.len() > 1 => bail!("--table omniglot is a recipe of its own: ask for it alone"),
        (true, _) => recipe::run(args, &root),
        (_, false) => fill(args, &root),
        _ => compare(args, &root),
    }
}

/// Where runs and results go.
fn place(args: &Args, root: &Path, usual: &str) -> Result<PathBuf> {
    let out = args.out.clone().unwrap_or_else(|| root.join("target").join(usual));
    std::fs::create_dir_all(out.join("runs")).with_context(|| format!("{} cannot be made", out.display()))?;
    Ok(out.canonicalize()?)
}

/// Builds the program; where it lies.
fn build(root: &Path) -> Result<PathBuf> {
    let cure = "mend what the compiler names above";
    shell::step(&mut shell::cargo(root, &["build", "--release", "-p", "npair"]), cure)?;
    Ok(tree::Metadata::read(root)?.target_directory.join("release/npair"))
}

/// Every method with every seed.
fn measure(runner: &runs::Runner, experiment: &Experiment, seeds: u64) -> Result<Vec<Measured>> {
    let (mut measured, all) = (Vec::new(), experiment.methods.len() as u64 * seeds);
    for seed in 1..=seeds {
        for method in &experiment.methods {
            let place = format!("[{}/{all}] {} seed {seed}", measured.len() + 1, method.name);
            println!("{place}: training");
            let one = runner.measure(method, seed)?;
            println!("{place}: {}", one.summary());
            measured.push(one);
        }
    }
    Ok(measured)
}

/// The paper's tables.
fn fill(args: &Args, root: &Path) -> Result<()> {
    let start = Instant::now();
    let source = Source::read(root, &args.data)?;
    let asked = |name: &&str| args.table.iter().any(|t| t.asks_for(name));
    let papers = TABLES.iter().copied().filter(asked).map(|t| Ok((t, Paper::read(root, t)?)));
    let papers = papers.collect::<Result<Vec<(&str, Paper)>>>()?;
    let names: Vec<&str> = papers.iter().flat_map(|(_, p)| p.methods.iter().map(String::as_str)).collect();
    let experiment = source.experiment(root, &names, args.size(), args.steps)?;
    println!("{}: expected time and hardware: {}", source.name, source.entry.expected);
    let out = place(args, root, &format!("tables/{}", source.name))?;
    let binary = build(root)?;
    let built = start.elapsed().as_secs_f64();
    let runner = runs::Runner::new(binary, &experiment, &out)?.judged_by(source.protocol.clone());
    let seeds = args.seeds.unwrap_or(3);
    let measured = measure(&runner, &experiment, seeds)?;
    let beside = |table: &str| source.entry.beside.get(table).cloned();
    let tables = papers.into_iter().map(|(t, paper)| Filled::new(t, paper, beside(t), &measured)).collect();
    let results = Tables {
        origin: Origin::of(root, &command()),
        data: source.entry.description.clone(),
        source: source.name.clone(),
        stand_in: source.entry.stand_in,
        seeds: (1..=seeds).collect(),
        quick: args.quick,
        build_seconds: built,
        seconds: start.elapsed().as_secs_f64(),
        tables,
        measured,
    };
    results.write(&out)?;
    println!("\n{}", results.text()?);
    println!("Written: {}", out.join("results.md").display());
    println!("Total {:.0} s, of it {built:.0} s the build.", results.seconds);
    Ok(())
}

/// The main job: the paper's five methods on one source.
fn compare(args: &Args, root: &Path) -> Result<()> {
    let start = Instant::now();
    let [data] = &args.data[..] else { bail!("--data: give one source without --table") };
    let steps = if args.quick { Some(QUICK_STEPS) } else { args.steps };
    let mut experiment = Experiment::read(root, data, args.config.as_deref(), steps)?;
    experiment.keep(&args.methods)?;
    let out = place(args, root, "reproduce")?;
    let binary = build(root)?;
    let built = start.elapsed().as_secs_f64();
    let runner = runs::Runner::new(binary, &experiment, &out)?;
    let seeds = args.seeds.unwrap_or(2);
    let measured = measure(&runner, &experiment, seeds)?;
    let seconds = start.elapsed().as_secs_f64();
    let results = Results {
        origin: Origin::of(root, &command()),
        data: experiment.description.clone(),
        source: portable(data),
        seeds: (1..=seeds).collect(),
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

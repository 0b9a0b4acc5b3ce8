//! `cargo xtask test`: everything that has to hold before a commit.

use crate::{kernels, shell, tidy, tree};
use anyhow::{Result, bail};
use std::path::Path;
use std::time::Instant;

/// Format, lint, tidy, all tests of the workspace in one build, doctests, and the CUDA kernels through nvcc where it can be had; stops at the first failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test                   everything
  cargo xtask test -p npair-losses   one crate alone, as a job of the CI matrix does
  cargo xtask test -p npair-collective --features mpi
                                     with what needs more than a Rust toolchain: an MPI library and libclang")]
pub struct Args {
    /// This crate alone (and not the invariants, which are the workspace's).
    #[arg(short, long, value_name = "CRATE")]
    package: Option<String>,
    /// Features of the crate beyond its usual ones, as cargo names them.
    #[arg(long, value_name = "FEATURES", requires = "package")]
    features: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let start = Instant::now();
    let package = args.package.as_deref();
    if let Some(name) = package {
        let packages = tree::Metadata::read(&root)?.packages;
        if !packages.iter().any(|p| p.name == name) {
            let names: Vec<_> = packages.iter().map(|p| p.name.as_str()).collect();
            bail!("there is no crate `{name}`; there are {}", names.join(", "));
        }
    }
    let (mut which, fmt) = match package {
        Some(name) => (vec!["-p", name], vec!["fmt", "-p", name, "--", "--check"]),
        None => (vec!["--workspace"], vec!["fmt", "--all", "--", "--check"]),
    };
    which.extend(args.features.iter().flat_map(|features| ["--features", features.as_str()]));
    let cargo = |verb: &[&str], last: &[&str]| {
        let args: Vec<&str> = verb.iter().chain(&which).chain(last).copied().collect();
        shell::cargo(&root, &args)
    };
    shell::step(&mut shell::cargo(&root, &fmt), "run `cargo fmt --all` (missing? `rustup component add rustfmt`)")?;
    if package.is_none() {
        invariants(&root)?;
    }
    let cure = "mend what clippy names above (missing? `rustup component add clippy`)";
    shell::step(&mut cargo(&["clippy"], &["--all-targets", "--", "-D", "warnings"]), cure)?;
    let cure = "mend the tests named above; one alone: cargo test -p CRATE NAME";
    // Cargo refuses `--lib` of a crate that is a program alone.
    let has_library = package.is_none_or(|name| has_library(&root, name));
    let targets: &[&str] =
        if has_library { &["--lib", "--bins", "--tests", "--examples"] } else { &["--bins", "--tests", "--examples"] };
    shell::step(&mut cargo(&["test", "--no-fail-fast"], targets), cure)?;
    if has_library {
        shell::step(&mut cargo(&["test"], &["--doc"]), "mend the examples in the documentation named above")?;
    }
    if package.is_none_or(|name| name == "npair-similarity-cuda") {
        kernels::check(&root)?;
    }
    println!("xtask: all passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn invariants(root: &Path) -> Result<()> {
    println!("xtask: tidy");
    let start = Instant::now();
    tidy::report(root)?;
    println!("xtask: done in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn has_library(root: &Path, name: &str) -> bool {
    tree::Metadata::read(root).is_ok_and(|m| m.packages.iter().any(|p| p.name == name && p.has_library()))
}

//! The project's own commands: `cargo xtask VERB`. This file only dispatches; every verb has a file of its own.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // commands print

mod bench;
mod ci;
mod crates;
mod fetch;
mod golden;
mod gpu_pack;
mod kernels;
mod machine;
mod publish;
mod reproduce;
mod same;
mod shell;
mod test;
mod tidy;
mod tree;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Xtask {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Format, lint, tidy, all tests in one build, doctests.
    Test(test::Args),
    /// Checks the invariants of docs/architecture.md.
    Tidy(tidy::Args),
    /// Compares losses and metrics with reference values of other programs.
    Golden(golden::Args),
    /// Trains and judges the paper's methods, and gives its claims a verdict each.
    Reproduce(reproduce::Args),
    /// Copies results to docs/results and lists them there.
    Publish(publish::Args),
    /// Downloads a public data set.
    Fetch(fetch::Args),
    /// Trains every built-in recipe with two programs and compares the bits.
    Same(same::Args),
    /// Runs the benches and keeps what they measured in benches/runs/.
    Bench(bench::Args),
    /// Compiles the CUDA kernels for named GPUs and prints what they need.
    Kernels(kernels::Args),
    /// Builds npair for NVIDIA GPUs, on a machine without one, and packs it.
    GpuPack(gpu_pack::Args),
    /// Lists the crates; with --json for the CI matrix.
    Crates(crates::Args),
    /// What an automatic check runs.
    Ci,
}

fn main() -> ExitCode {
    let done = match Xtask::parse().verb {
        Verb::Test(args) => test::run(&args),
        Verb::Tidy(args) => tidy::run(&args),
        Verb::Golden(args) => golden::run(&args),
        Verb::Reproduce(args) => reproduce::run(&args),
        Verb::Publish(args) => publish::run(&args),
        Verb::Fetch(args) => fetch::run(&args),
        Verb::Same(args) => same::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Kernels(args) => kernels::run(&args),
        Verb::GpuPack(args) => gpu_pack::run(&args),
        Verb::Crates(args) => crates::run(&args),
        Verb::Ci => ci::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

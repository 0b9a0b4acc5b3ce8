//! The `npair` command: parse, call the engine, print. No mathematics.
#![forbid(unsafe_code)]

#[macro_use]
mod out;

mod args;
mod bench;
mod beside;
mod cluster;
mod compare;
mod data;
mod device;
mod doctor;
mod embed;
mod embedded;
mod eval;
mod export;
mod fail;
mod gpu_check;
mod index;
mod launched;
mod plan;
mod progress;
mod refined;
mod report;
mod search;
mod serve;
mod source;
mod suspects;
mod table;
mod train;
mod verifier;
mod verify;

use args::{Command, Npair};
use clap::Parser;
use launched::Launched;
use std::process::ExitCode;

/// More than any machine has cores.
const MOST_THREADS: usize = 1024;

fn main() -> ExitCode {
    npair_train::keep_freed_memory();
    let args = Npair::parse();
    let prints = matches!(
        args.command,
        Command::Eval(_)
            | Command::Data(_)
            | Command::Plan(_)
            | Command::Search(_)
            | Command::Verify(_)
            | Command::Compare(_)
            | Command::Doctor(_)
    );
    // Held until an error has been told: a rank that ends early ends the others.
    let launched = match Launched::join(&args) {
        Ok(launched) => launched,
        // All of them have made the same mistake: one says so. What goes wrong later may be one's alone.
        Err(_) if !out::prints() => return ExitCode::from(2),
        Err(error) => return fail::report(&error),
    };
    let done = run(&args, &launched).and_then(|()| if prints { out::expect_printed() } else { Ok(()) });
    // A run that was stopped is whole on every rank.
    let whole = done.as_ref().err().is_none_or(|error| error.is::<fail::Stopped>());
    let parted = if whole { launched.part() } else { Ok(()) };
    match done.and(parted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail::report(&error),
    }
}

fn run(args: &Npair, launched: &Launched) -> anyhow::Result<()> {
    if let Some(threads) = args.threads.or(launched.threads()) {
        if threads.get() > MOST_THREADS {
            let why = format!("is {threads}, but may be 1 to {MOST_THREADS}");
            return Err(source::usage("--threads", why));
        }
        rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    match &args.command {
        Command::Train(train) => train::run(train, launched, args.device, args.json),
        Command::Plan(plan) => plan::run(plan, args.device, args.json),
        Command::Eval(eval) => eval::run(eval, args.device, args.json),
        Command::Embed(embed) => embed::run(embed, launched, args.device, args.json),
        Command::Index(index) => index::run(index, args.device.unwrap_or_default(), args.json),
        Command::Search(search) => search::run(search, args.device.unwrap_or_default(), args.json),
        Command::Serve(serve) => serve::run(serve, args.device.unwrap_or_default(), args.json),
        Command::Verify(verify) => verify::run(verify, args.device.unwrap_or_default(), args.json),
        Command::Cluster(cluster) => cluster::run(cluster, args.device.unwrap_or_default(), args.json),
        Command::Export(export) => export::run(export, args.device.unwrap_or_default(), args.json),
        Command::Compare(compare) => compare::run(compare, args.device.unwrap_or_default(), args.json),
        Command::Doctor(doctor) => doctor::run(doctor, args.device.unwrap_or_default(), args.json),
        Command::Report(report) => report::run(report, args.device.unwrap_or_default(), args.json),
        Command::GpuCheck(of) => gpu_check::run(of, args.device.unwrap_or_default(), args.json),
        Command::Bench(bench) => bench::run(bench, args.device.unwrap_or_default(), args.json),
        Command::Data(data) => data::run(data, args.device, args.json),
    }
}

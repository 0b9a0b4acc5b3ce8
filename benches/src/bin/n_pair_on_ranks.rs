//! N-pair-mc, forward and backward, on ranks that are processes: seconds, and the most memory that each of them had.
//!
//! ```sh
//! n_pair_on_ranks --pairs 65536 --width 512 --whole                 # one process, the whole matrix in one pass
//! mpirun -n 4 n_pair_on_ranks --pairs 65536 --width 512 --shards 4  # the rows shared
//! ```
#![forbid(unsafe_code)]

use candle_core::{Device, Tensor, Var};
use clap::Parser;
use npair_benches::{Result, peak_kib};
use npair_collective::{Alone, Collective, Mpi, Shards, Tag};
use npair_losses::{NPairMc, PairLoss, PairLossOnRanks, SharedPairs};
use npair_types::{Purpose, Streams};
use rand::Rng;
use std::io::Write;
use std::ops::Range;
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// N.
    #[arg(long, default_value_t = 65536)]
    pairs: usize,
    /// D.
    #[arg(long, default_value_t = 512)]
    width: usize,
    #[arg(long, default_value_t = 4)]
    shards: usize,
    /// Threads of each process.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// In one pass of one process.
    #[arg(long)]
    whole: bool,
}

/// Some pairs of all, drawn by their numbers.
fn rows(side: u64, pairs: Range<usize>, width: usize) -> Result<Tensor> {
    let mut values = Vec::with_capacity(pairs.len() * width);
    for pair in pairs.clone() {
        let mut rng = Streams::new(side).open(Purpose::Synthesis, [pair as u64, 0]);
        values.extend((0..width).map(|_| rng.random_range(-0.1f32..0.1)));
    }
    Ok(Tensor::from_vec(values, (pairs.len(), width), &Device::Cpu)?)
}

/// Embeddings of the pairs that a process works on.
enum Sides {
    Whole(Var, Var),
    Shared(Tensor, Tensor),
}

impl Sides {
    fn of(args: &Args, ranks: &dyn Collective) -> Result<Self> {
        if args.whole {
            let all = 0..args.pairs;
            let side =
                |side| Ok::<_, Box<dyn std::error::Error>>(Var::from_tensor(&rows(side, all.clone(), args.width)?)?);
            return Ok(Self::Whole(side(1)?, side(2)?));
        }
        let own = SharedPairs::new(ranks, Shards::new(args.shards)?, args.pairs)?.own();
        Ok(Self::Shared(rows(1, own.clone(), args.width)?, rows(2, own, args.width)?))
    }

    fn learn(&self, args: &Args, ranks: &dyn Collective) -> Result<f64> {
        match self {
            Self::Whole(anchors, positives) => {
                let loss = NPairMc.forward_pairs(anchors.as_tensor(), positives.as_tensor())?;
                loss.value.backward()?;
                Ok(loss.to_f64()?)
            }
            Self::Shared(anchors, positives) => {
                let pairs = SharedPairs::new(ranks, Shards::new(args.shards)?, args.pairs)?;
                Ok(NPairMc.forward_shared(&pairs, anchors, positives)?.value)
            }
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let mpi = std::env::var_os("OMPI_COMM_WORLD_SIZE").map(|_| Mpi::start()).transpose()?;
    let ranks: &dyn Collective = mpi.as_ref().map_or(&Alone, |mpi| mpi);
    let sides = Sides::of(&args, ranks)?;
    let (mut seconds, mut loss) = (Vec::new(), 0.);
    for number in 0..args.runs as u64 {
        ranks.barrier(Tag { what: "run", number })?;
        let begun = Instant::now();
        loss = sides.learn(&args, ranks)?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let shards = if args.whole { 1 } else { args.shards };
    let line = serde_json::json!({
        "rank": ranks.rank(), "ranks": ranks.ranks(), "threads": args.threads, "pairs": args.pairs, "width": args.width,
        "shards": shards, "loss": loss, "seconds": seconds, "peak_kib": peak_kib()?,
    });
    writeln!(std::io::stdout(), "{line}")?;
    mpi.as_ref().map_or(Ok(()), Mpi::finish)?;
    Ok(())
}

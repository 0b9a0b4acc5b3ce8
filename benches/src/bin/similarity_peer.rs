//! npair's side of the similarity matrix in `cargo xtask bench --peers`: a loss or a search over made-up embeddings, timed on
//! request. The conversation is that of `benches/peers/protocol.py`.
#![forbid(unsafe_code)]

use candle_core::{Tensor, Var};
use clap::{Parser, Subcommand};
use npair_benches::{Result, serve};
use npair_losses::{NPairMc, PairLoss};
use npair_nn::keep_freed_memory;
use npair_similarity::{Exclude, Rows};
use npair_types::Measure;
use serde_json::json;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    work: Work,
    /// D
    #[arg(long, default_value_t = 512, global = true)]
    embedding: usize,
    #[arg(long, default_value_t = 2, global = true)]
    threads: usize,
}

#[derive(Subcommand)]
enum Work {
    /// N-pair-mc, forward and backward (`step`), and one product of its size by candle (`gemm`)
    NPairMc {
        /// N
        pairs: usize,
    },
    /// Exact nearest neighbours of a set in itself (`search`)
    TopK {
        /// Rows
        rows: usize,
        /// Neighbors of each
        k: usize,
    },
}

fn main() -> Result<()> {
    keep_freed_memory();
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let d = args.embedding;
    match args.work {
        Work::NPairMc { pairs } => n_pair_mc(pairs, d),
        Work::TopK { rows, k } => top_k(rows, d, k),
    }
}

fn n_pair_mc(n: usize, d: usize) -> Result<()> {
    // Inner products of about 1, as at the start of training: entries of variance 1 / sqrt(D).
    let side =
        |seed| -> Result<Tensor> { Ok((npair_benches::tensor(seed, &[n, d])? * (3. / (d as f64).sqrt()).sqrt())?) };
    let [anchors, positives] = [side(1)?, side(2)?];
    let (f, p) = (Var::from_tensor(&anchors)?, Var::from_tensor(&positives)?);
    let across = positives.t()?;
    let about = json!({ "work": { "step": 6 * n * n * d, "gemm": 2 * n * n * d } });
    serve("n-pair-mc", about, |request| {
        match request {
            "step" => drop(NPairMc.forward_pairs(&f, &p)?.value.backward()?),
            "gemm" => drop(anchors.matmul(&across)?),
            _ => return Ok(None),
        }
        Ok(Some(()))
    })
}

fn top_k(rows: usize, d: usize, k: usize) -> Result<()> {
    let x = npair_benches::numbers(1, rows * d);
    let rows = Rows::new(&x, d)?;
    // Counted as a search in another set would be: the products that symmetry saves are work done.
    let about = json!({ "work": { "search": 2 * rows.len() * rows.len() * d } });
    serve("top-k", about, |request| {
        if request != "search" {
            return Ok(None);
        }
        drop(rows.top_k(rows, Measure::Dot, k, Exclude::Nothing)?);
        Ok(Some(()))
    })
}

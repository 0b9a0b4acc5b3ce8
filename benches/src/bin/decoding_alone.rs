//! What `npair embed` does without a network: the pictures of a table decoded, and made into pixels, chunk by chunk on all threads.
#![forbid(unsafe_code)]

use clap::Parser;
use npair_benches::{Result, say};
use npair_data::{Channels, Dataset, OmlCsv, Pipeline, PipelineConfig, load_batch};
use npair_types::ExampleId;
use rayon::prelude::*;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// A table of pictures
    table: PathBuf,
    /// Height and width of the result
    #[arg(long, default_value_t = 28)]
    size: u32,
    /// Pictures of a chunk
    #[arg(long, default_value_t = 240)]
    chunk: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let data = OmlCsv::open(&args.table)?;
    let size = args.size.into();
    let pipeline = Pipeline::new(PipelineConfig { channels: Channels::Rgb, size, ..PipelineConfig::default() })?;
    let ids: Vec<ExampleId> = (0..data.len()).map(ExampleId).collect();
    let told = |what: &str, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        say(&json!({ "what": what, "pictures": ids.len(), "seconds": seconds, "a second": ids.len() as f64 / seconds }))
    };
    let start = Instant::now();
    for chunk in ids.chunks(args.chunk) {
        chunk.par_iter().try_for_each(|&id| data.load(id).map(|_| ()))?;
    }
    told("decoded", start)?;
    let start = Instant::now();
    for chunk in ids.chunks(args.chunk) {
        load_batch(&data, &pipeline, chunk)?;
    }
    told("decoded and made into pixels", start)
}

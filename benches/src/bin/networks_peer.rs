//! npair's side of `cargo xtask bench --peers`: a network, timed on request. The conversation is that of
//! `benches/peers/protocol.py`: `step` or `embed` a line, one JSON object a line back; the first says what was built.
#![forbid(unsafe_code)]

use candle_core::{DType, Device, Tensor};
use clap::Parser;
use npair_backbones::{BackboneConfig, EmbeddingNet, EmbeddingNetConfig};
use npair_benches::{Result, say, serve};
use npair_losses::{Batch, Loss, NPairMc};
use npair_nn::{Mode, NetPrecision, backward, keep_freed_memory};
use npair_train::{Adam, AdamSettings, Updater};
use npair_types::{Labels, Streams};
use serde_json::json;

#[derive(Parser)]
struct Args {
    /// The backbone, as config.json has it: {"architecture": "conv-net"}
    backbone: String,
    #[arg(long)]
    batch: usize,
    #[arg(long)]
    channels: usize,
    #[arg(long)]
    size: usize,
    #[arg(long, default_value_t = 64)]
    embedding: usize,
    #[arg(long, default_value_t = 0.)]
    dropout: f64,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, value_enum, default_value = "f32")]
    precision: Factors,
}

/// What products are made of.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Factors {
    F32,
    Bf16,
}

/// A network in training, and its batch: rows alternate anchor and positive.
struct Bench {
    net: EmbeddingNet,
    updater: Updater,
    pixels: Tensor,
    labels: Labels,
    steps: u64,
}

impl Bench {
    fn new(args: &Args, backbone: BackboneConfig) -> Result<Self> {
        let mut config = EmbeddingNetConfig::new(backbone, args.embedding);
        config.dropout = args.dropout;
        let net = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
        let adam = Adam::new(AdamSettings { learning_rate: 1e-3, ..Default::default() })?;
        let updater = Updater::new(net.varmap().trainable(), adam)?;
        let pixels = npair_benches::tensor(1, &[args.batch, args.channels, args.size, args.size])?;
        let labels: Vec<u32> = (0..args.batch as u32).map(|row| row / 2).collect();
        let labels = Labels::new(labels)?;
        Ok(Self { net, updater, pixels, labels, steps: 0 })
    }

    /// Forward, N-pair-mc, backward, Adam.
    fn step(&mut self) -> Result<()> {
        let embeddings = self.net.forward(&self.pixels, &Mode::train(Streams::new(1), self.steps))?;
        let loss = NPairMc.forward(&Batch::new(&embeddings, &self.labels)?)?;
        self.updater.add(&backward(&loss.value)?)?;
        self.updater.step(1.)?;
        self.steps += 1;
        Ok(())
    }

    fn embed(&mut self) -> Result<()> {
        self.net.forward(&self.pixels, &Mode::Eval)?;
        Ok(())
    }
}

fn main() -> Result<()> {
    keep_freed_memory();
    let args = Args::parse();
    match args.precision {
        Factors::F32 => NetPrecision::F32.choose(),
        Factors::Bf16 => NetPrecision::Bf16.choose(),
    }
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    // An architecture that this build does not have is no failure: the driver lists it.
    let backbone: BackboneConfig = match serde_json::from_str(&args.backbone) {
        Ok(backbone) => backbone,
        Err(why) => return say(&json!({ "not_built": why.to_string() })),
    };
    let mut bench = Bench::new(&args, backbone)?;
    let parameters = bench.net.varmap().count();
    serve(&args.backbone, json!({ "parameters": parameters }), |request| {
        match request {
            "step" => bench.step()?,
            "embed" => bench.embed()?,
            _ => return Ok(None),
        }
        Ok(Some(()))
    })
}

//! npair's side of the losses in `cargo xtask bench --peers`: losses of a made-up batch with their gradients, timed on request. The
//! conversation is that of `benches/peers/protocol.py`; a request is the name of a loss.
#![forbid(unsafe_code)]

use candle_core::{DType, Device, Var};
use clap::Parser;
use npair_benches::{Result, serve};
use npair_losses::{Batch, BatchHardTriplet, Loss, LossContext, Reducer};
use npair_nn::keep_freed_memory;
use npair_recipe::config::LossConfig;
use npair_recipe::registry::build_loss;
use npair_types::{Labels, Purpose, Streams};
use serde_json::json;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1024)]
    batch: usize,
    #[arg(long, default_value_t = 128)]
    embedding: usize,
    #[arg(long, default_value_t = 4)]
    per_class: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

struct Bench {
    embeddings: Var,
    labels: Labels,
    width: usize,
}

impl Bench {
    fn new(args: &Args) -> Result<Self> {
        let labels = Labels::new((0..args.batch).map(|row| (row / args.per_class) as u32))?;
        // Classes around centers of their own, as after some training.
        let (classes, d) = (labels.classes().len(), args.embedding);
        let (centers, noise) = (npair_benches::numbers(1, classes * d), npair_benches::numbers(2, args.batch * d));
        let values: Vec<f32> =
            (0..args.batch * d).map(|at| centers[at / d / args.per_class * d + at % d] + noise[at]).collect();
        let embeddings = Var::from_vec(values, (args.batch, d), &Device::Cpu)?;
        Ok(Self { embeddings, labels, width: d })
    }

    /// The loss of that name at the settings of `benches/peers/losses.py`, which are the usual ones; none for another name.
    fn loss(&self, name: &str) -> Result<Option<Box<dyn Loss>>> {
        if name == "batch-hard-triplet" {
            // The peer normalizes rows and takes the mean over what is above 0.
            let hard = BatchHardTriplet::new(0.2)?.with_unit_rows().with_reducer(Reducer::MeanOfNonZero);
            return Ok(Some(Box::new(hard)));
        }
        let Ok(config) = LossConfig::named(name) else { return Ok(None) };
        let rng = &mut Streams::new(3).open(Purpose::Initialization, [0, 0]);
        let (classes, device) = (self.labels.classes(), &Device::Cpu);
        let mut context = LossContext {
            classes: &classes,
            sizes: &[],
            sets: None,
            width: self.width,
            rng,
            dtype: DType::F32,
            device,
        };
        Ok(Some(build_loss(&config, &mut context)?))
    }
}

fn main() -> Result<()> {
    keep_freed_memory();
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let bench = Bench::new(&args)?;
    let mut made: Option<(String, Box<dyn Loss>)> = None;
    serve("losses", json!({}), |request| {
        // Made once for all rounds of a name.
        if made.as_ref().is_none_or(|(name, _)| name != request) {
            made = bench.loss(request)?.map(|loss| (request.to_owned(), loss));
        }
        let Some((_, loss)) = &made else { return Ok(None) };
        loss.forward(&Batch::new(&bench.embeddings, &bench.labels)?)?.value.backward()?;
        Ok(Some(()))
    })
}

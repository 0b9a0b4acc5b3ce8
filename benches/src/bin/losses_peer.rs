//! npair's side of the losses in `cargo xtask bench --peers`: losses of a made-up batch with their gradients, timed on request. The
//! conversation is that of `benches/peers/protocol.py`; a request is the name of a loss.
#![forbid(unsafe_code)]

use candle_core::{DType, Device, Var};
use clap::Parser;
use npair_benches::{Result, serve};
use npair_losses::{
    Angular, ArcFace, Circle, ContrastiveAll, CosFace, FastAp, GeneralisedLiftedStructure, Histogram, LiftedStructure,
    Loss, MarginLoss, MultiSimilarity, NcaStyle, NormalisedSoftmax, NtXent, ProxyAnchor, ProxyNca, RankedList, Reducer,
    SmoothAp, SoftTriple, SupCon, TripletBatchHard, TripletMarginAll, TupletMargin,
};
use npair_nn::keep_freed_memory;
use npair_types::{Labels, Purpose, Streams};
use serde_json::json;
use std::collections::BTreeMap;

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
    losses: BTreeMap<&'static str, Box<dyn Loss>>,
}

impl Bench {
    fn new(args: &Args) -> Result<Self> {
        let labels = Labels::new((0..args.batch).map(|row| (row / args.per_class) as u32))?;
        // Classes around centres of their own, as after some training.
        let (classes, d) = (labels.classes().len(), args.embedding);
        let (centres, noise) = (npair_benches::numbers(1, classes * d), npair_benches::numbers(2, args.batch * d));
        let values: Vec<f32> =
            (0..args.batch * d).map(|at| centres[at / d / args.per_class * d + at % d] + noise[at]).collect();
        let embeddings = Var::from_vec(values, (args.batch, d), &Device::Cpu)?;
        let losses = losses(&labels, d)?;
        Ok(Self { embeddings, labels, losses })
    }
}

/// All at the settings of `benches/peers/losses.py`.
fn losses(labels: &Labels, d: usize) -> Result<BTreeMap<&'static str, Box<dyn Loss>>> {
    let (classes, f32, cpu) = (&labels.classes(), DType::F32, &Device::Cpu);
    let rng = &mut Streams::new(3).open(Purpose::Initialisation, [0, 0]);
    let some = Reducer::MeanOfNonZero;
    let hard = TripletBatchHard::new(0.2)?.of_unit_rows().with_reducer(some);
    let all: Vec<(&'static str, Box<dyn Loss>)> = vec![
        ("multi-similarity", Box::new(MultiSimilarity::new(2., 50., 0.5)?)),
        ("triplet-batch-hard", Box::new(hard)),
        ("triplet-margin-all", Box::new(TripletMarginAll::new(0.05, some)?)),
        ("contrastive-all", Box::new(ContrastiveAll::new(0., 1., some)?)),
        ("lifted-structure", Box::new(LiftedStructure::new(1., 0.)?)),
        ("generalised-lifted-structure", Box::new(GeneralisedLiftedStructure::new(1., 0.)?)),
        ("circle", Box::new(Circle::new(0.4, 80.)?)),
        ("fast-ap", Box::new(FastAp::new(10)?)),
        ("smooth-ap", Box::new(SmoothAp::new(0.01)?)),
        ("ranked-list", Box::new(RankedList::new(1.2, 0.4, 10., 0.5)?)),
        ("histogram", Box::new(Histogram::new(201)?)),
        ("margin", Box::new(MarginLoss::new(classes, f32, cpu)?)),
        ("nt-xent", Box::new(NtXent::new(0.07)?)),
        ("sup-con", Box::new(SupCon::new(0.1)?)),
        ("tuplet-margin", Box::new(TupletMargin::new(5.73, 64.)?)),
        ("angular", Box::new(Angular::new(40.)?)),
        ("nca-style", Box::new(NcaStyle)),
        ("proxy-nca", Box::new(ProxyNca::new(classes, d, rng, f32, cpu)?)),
        ("proxy-anchor", Box::new(ProxyAnchor::new(classes, d, rng, f32, cpu)?)),
        ("arc-face", Box::new(ArcFace::new(classes, d, rng, f32, cpu)?)),
        ("cos-face", Box::new(CosFace::new(classes, d, rng, f32, cpu)?)),
        ("normalised-softmax", Box::new(NormalisedSoftmax::new(classes, d, rng, f32, cpu)?)),
        ("soft-triple", Box::new(SoftTriple::new(classes, 10, d, rng, f32, cpu)?)),
    ];
    Ok(all.into_iter().collect())
}

fn main() -> Result<()> {
    keep_freed_memory();
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let bench = Bench::new(&args)?;
    serve("losses", json!({}), |request| {
        let Some(loss) = bench.losses.get(request) else { return Ok(None) };
        loss.forward(&bench.embeddings, &bench.labels)?.value.backward()?;
        Ok(Some(()))
    })
}

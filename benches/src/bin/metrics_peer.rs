//! npair's side of the scores in `cargo xtask bench --peers`: retrieval and k-means over made-up embeddings of the size of Stanford
//! Online Products' test set, timed on request. The conversation is that of `benches/peers/protocol.py`.
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use npair_benches::{Result, products, serve};
use npair_metrics::{Clustering, Embeddings, KMeans, Search, Start, retrieval};
use npair_types::{Measure, Purpose, Streams};
use serde_json::json;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    work: Work,
    #[arg(long, default_value_t = products::CLASSES, global = true)]
    classes: usize,
    #[arg(long, default_value_t = products::ROWS, global = true)]
    rows: usize,
    /// Length of the noise over that of a class's centre
    #[arg(long, default_value_t = products::NOISE, global = true)]
    noise: f64,
    /// D
    #[arg(long, default_value_t = 512, global = true)]
    embedding: usize,
    #[arg(long, default_value_t = 2, global = true)]
    threads: usize,
}

#[derive(Subcommand)]
enum Work {
    /// recall@{1, 10, 100, 1000}, R-precision, MAP@R (`scores`)
    Retrieval {
        /// Tell the scores at once, for a comparison with the peer's
        #[arg(long)]
        values: bool,
    },
    /// As many clusters as classes (`cluster`)
    KMeans {
        /// Times that centres move
        rounds: usize,
        /// Tell NMI, F1 and the sum of squares at once
        #[arg(long)]
        values: bool,
    },
}

const KS: [usize; 4] = [1, 10, 100, 1000];

fn main() -> Result<()> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let (values, labels) = products::products(args.classes, args.rows, args.embedding, args.noise)?;
    let set = Embeddings::new(&values, args.embedding, labels)?;
    drop(values);
    match args.work {
        Work::Retrieval { values } => scores(&set, values),
        Work::KMeans { rounds, values } => cluster(&set, args.classes, rounds, values),
    }
}

fn scores(set: &Embeddings, values: bool) -> Result<()> {
    let search = Search::within(set, Measure::Cosine);
    let ks: Vec<usize> = KS.into_iter().filter(|&k| k < set.len()).collect();
    // Counted as a search in another set would be: the products that symmetry saves are work done.
    let mut about = json!({ "work": { "scores": 2 * set.len() * set.len() * set.width() } });
    if values {
        let found = retrieval(&search, &ks)?;
        about["values"] = json!({
            "precision_at_1": found.precision_at_1.value,
            "r_precision": found.r_precision.value,
            "mean_average_precision_at_r": found.map_at_r.value,
            "recall": found.recall_at.iter().map(|(_, mean)| mean.value).collect::<Vec<_>>(),
        });
    }
    serve("retrieval", about, |request| {
        if request != "scores" {
            return Ok(None);
        }
        drop(retrieval(&search, &ks)?);
        Ok(Some(()))
    })
}

fn cluster(set: &Embeddings, clusters: usize, rounds: usize, values: bool) -> Result<()> {
    let k_means = KMeans { clusters, start: Start::RandomPoints, rounds };
    let rng = || Streams::new(1).open(Purpose::Evaluation, [0, 0]);
    // Counted as if every round compared all rows with all centres.
    let mut about = json!({ "work": { "cluster": 2 * set.len() * clusters * set.width() * (rounds + 1) } });
    if values {
        let mut course = Vec::new();
        let found = k_means.run_watched(set, &mut rng(), &mut |round| course.push((round.sse, round.moved)))?;
        let clustering = Clustering::new(set.labels(), &found.assignment)?;
        about["values"] = json!({
            "nmi": clustering.nmi(), "f1": clustering.f1(), "sse": found.sse, "rounds": found.rounds, "course": course,
        });
    }
    serve("k-means", about, |request| {
        if request != "cluster" {
            return Ok(None);
        }
        drop(k_means.run(set, &mut rng())?);
        Ok(Some(()))
    })
}

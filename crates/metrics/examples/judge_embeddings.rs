//! Judging somebody else's embeddings: recall@K, R-precision and MAP@R with a 95 % interval, verification, clustering.
//!
//! ```text
//! cargo run --release -p npair-metrics --example judge_embeddings
//! ```
#![allow(clippy::print_stdout)] // an example prints

use npair_metrics::{Clustering, Embeddings, KMeans, Roc, Search, bootstrap, query_scores, retrieval};
use npair_types::{Labels, Measure, Purpose, Streams};
use rand::Rng;

const CLASSES: usize = 40;
const PER_CLASS: usize = 6;
const WIDTH: usize = 16;

fn main() -> Result<(), npair_metrics::Error> {
    // They would come from a file; here every class has a center, and its rows lie around it.
    let streams = Streams::new(3);
    let mut rng = streams.open(Purpose::Synthesis, [0, 0]);
    let mut values = Vec::new();
    for _ in 0..CLASSES {
        let center: Vec<f64> = (0..WIDTH).map(|_| rng.random::<f64>() - 0.5).collect();
        for _ in 0..PER_CLASS {
            values.extend(center.iter().map(|c| c + 0.6 * (rng.random::<f64>() - 0.5)));
        }
    }
    let labels = Labels::new((0..CLASSES * PER_CLASS).map(|i| (i / PER_CLASS) as u32))?;
    let set = Embeddings::new(&values, WIDTH, labels)?;

    let search = Search::within(&set, Measure::Cosine);
    let found = retrieval(&search, &[1, 5])?;
    for (k, recall) in &found.recall_at {
        println!("recall@{k}     {:.4}", recall.value);
    }
    println!("R-precision  {:.4}", found.r_precision.value);
    let queries = query_scores(&search, &[1])?;
    let by_query: Vec<f64> = queries.iter().map(|q| q.ap_at_r).collect();
    let interval = bootstrap(&by_query, set.labels(), 1000, &mut streams.open(Purpose::Evaluation, [0, 0]))?;
    println!("MAP@R        {:.4} [{:.4}, {:.4}]", found.map_at_r.value, interval.low, interval.high);

    let roc = Roc::of_pairs(&set, Measure::Cosine, 100_000, &mut streams.open(Purpose::Evaluation, [1, 0]))?;
    println!("EER          {:.4}", roc.eer());
    let clusters = KMeans::new(CLASSES).run(&set, &mut streams.open(Purpose::Evaluation, [2, 0]))?;
    println!("NMI          {:.4}", Clustering::new(set.labels(), &clusters.assignment)?.nmi());
    assert!(found.recall_at[0].1.value > 0.9);
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}

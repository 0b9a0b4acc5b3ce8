//! How well and how fast the graph finds: `cargo run --release -p npair-index --example approximate -- 1000000`.
//!
//! Made-up embeddings of 128 values at unit length: 10,000 classes in 32 dimensions, turned into 128, with noise. Recall@10 and the time
//! of a query on one thread by breadth; 500 queries that are not in the index.
//!
//! `approximate exact 1000000 FOLDER` times the exact search alone, in rounds, and leaves `rows.f32` and `queries.f32` in the folder for
//! another program to search (`benches/peers/index.py`).
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use npair_index::{GraphSettings, Index, IndexSettings, NewRow, RowFilter};
use npair_similarity::Rows;
use npair_types::{ChaCha8Rng, Measure, Purpose, Streams};
use rand::Rng;
use std::path::Path;
use std::time::Instant;

const D: usize = 128;
const INNER: usize = 32;
const CLASSES: usize = 10_000;
const QUERIES: usize = 500;

/// Nearly normal: of mean 0 and variance 1.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>() * 3f32.sqrt()
}

struct Made {
    turn: Vec<f32>,
    centres: Vec<f32>,
    rng: ChaCha8Rng,
}

impl Made {
    fn new() -> Self {
        let mut rng = Streams::new(1).open(Purpose::Evaluation, [0, 0]);
        let turn = (0..D * INNER).map(|_| normal(&mut rng)).collect();
        let centres = (0..CLASSES * INNER).map(|_| normal(&mut rng)).collect();
        Self { turn, centres, rng }
    }

    fn rows(&mut self, n: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity(n * D);
        for _ in 0..n {
            let class = self.rng.random_range(0..CLASSES);
            let inner: Vec<f32> =
                (0..INNER).map(|j| self.centres[class * INNER + j] + 0.6 * normal(&mut self.rng)).collect();
            let turned = |i: usize| self.turn[i * INNER..(i + 1) * INNER].iter().zip(&inner).map(|(a, b)| a * b).sum();
            let sums: Vec<f32> = (0..D).map(turned).collect();
            let row: Vec<f32> = sums.iter().map(|sum| sum + 0.5 * normal(&mut self.rng)).collect();
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            all.extend(row.iter().map(|v| v / length));
        }
        all
    }
}

fn main() -> Result<(), npair_index::Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    match (arguments.first().map(String::as_str), arguments.get(2)) {
        (Some("exact"), Some(folder)) => exact(number(1), Path::new(folder)),
        _ => approximate(number(0)),
    }
}

/// A new index of made-up rows, and queries.
fn made(n: usize, folder: &Path) -> Result<(Index, Vec<f32>, Vec<f32>), npair_index::Error> {
    let mut made = Made::new();
    let (values, queries) = (made.rows(n), made.rows(QUERIES));
    let mut index = Index::create(folder, IndexSettings::new(D, Measure::Cosine))?;
    let paths: Vec<String> = (0..n).map(|i| format!("{i}.png")).collect();
    let new: Vec<NewRow> = paths.iter().map(|path| NewRow { path, ..NewRow::default() }).collect();
    let start = Instant::now();
    index.add(&new, Rows::new(&values, D)?)?;
    println!("{n} rows added in {:.1} s", start.elapsed().as_secs_f64());
    Ok((index, values, queries))
}

/// The exact search of all queries at once, and of one at a time, in seven rounds.
fn exact(n: usize, folder: &Path) -> Result<(), npair_index::Error> {
    let (index, values, queries) = made(n, &folder.join("index"))?;
    for (name, values) in [("rows", &values), ("queries", &queries)] {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{name}.f32")), bytes).unwrap();
    }
    let queries = Rows::new(&queries, D)?;
    for _ in 0..7 {
        let start = Instant::now();
        index.search(queries, 10, RowFilter::All)?;
        let together = 1e3 * start.elapsed().as_secs_f64() / QUERIES as f64;
        let start = Instant::now();
        for i in 0..20 {
            index.search(Rows::new(queries.row(i), D)?, 10, RowFilter::All)?;
        }
        println!(
            "exact: {together:.3} ms a query of {QUERIES} at once, {:.3} ms alone",
            50. * start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn approximate(n: usize) -> Result<(), npair_index::Error> {
    let folder = std::env::temp_dir().join(format!("npair-approximate-{}", std::process::id()));
    let (mut index, values, queries) = made(n, &folder)?;
    drop(values);
    let start = Instant::now();
    let report = index.build_graph(GraphSettings::default())?;
    println!("graph in {:.1} s: {report:?}", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let index = Index::open(&folder)?;
    println!("opened in {:.1} s", start.elapsed().as_secs_f64());
    let queries = Rows::new(&queries, D)?;
    let start = Instant::now();
    let exact = index.search(queries, 10, RowFilter::All)?;
    println!("exact: {:.3} ms a query, all at once", 1e3 * start.elapsed().as_secs_f64() / QUERIES as f64);
    for breadth in [32, 64, 128, 256] {
        let (mut found, mut times) = (0, Vec::new());
        for (i, exact) in exact.iter().enumerate() {
            let start = Instant::now();
            let near = index.search_approximate(Rows::new(queries.row(i), D)?, 10, Some(breadth))?;
            times.push(1e3 * start.elapsed().as_secs_f64());
            found += exact.iter().filter(|a| near[0].iter().any(|b| a.row.id == b.row.id)).count();
        }
        times.sort_by(f64::total_cmp);
        let recall = found as f64 / (10 * QUERIES) as f64;
        println!(
            "breadth {breadth}: recall@10 {recall:.4}, {:.3} ms in the median, {:.3} least",
            times[QUERIES / 2],
            times[0]
        );
    }
    std::fs::remove_dir_all(&folder).ok();
    Ok(())
}

//! Exact top 10 of 5,000 x 128 against itself.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench: criterion's entry points, and what fails ends it")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use npair_similarity::{Exclude, Rows};
use npair_types::Measure;

fn top_k(c: &mut Criterion) {
    let x = npair_benches::numbers(1, 5_000 * 128);
    let rows = Rows::new(&x, 128).unwrap();
    let mut group = c.benchmark_group("top 10 of 5000 x 128 against itself");
    group.sample_size(20);
    group.throughput(Throughput::Elements(2 * 5_000 * 5_000 * 128));
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        group.bench_function(measure.to_string(), |b| {
            b.iter(|| rows.top_k(rows, measure, 10, Exclude::SameRow).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, top_k);
criterion_main!(benches);

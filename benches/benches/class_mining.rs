//! Claim: greedy class mining chooses N = 64 of 10,000 candidate classes at D = 128 in under 50 ms on one core.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench: criterion's entry points, and what fails ends it")]

use criterion::{Criterion, criterion_group, criterion_main};
use npair_batch::{ClassMiner, GreedyMiner, Prototypes, Violation};
use npair_types::{ClassId, Measure, Purpose, Streams};
use std::hint::black_box;

fn class_mining(c: &mut Criterion) {
    let classes: Vec<ClassId> = (0..10_000).map(ClassId).collect();
    let mut group = c.benchmark_group("class mining, 10000 candidates, D = 128, N = 64");
    group.sample_size(20);
    for examples in [1, 2] {
        let x = npair_benches::tensor(1, &[classes.len() * examples, 128]).unwrap();
        let prototypes = Prototypes::new(&classes, &x, Measure::Dot).unwrap();
        for violation in [Violation::WorstPair, Violation::Mean] {
            let mut miner = GreedyMiner { violation };
            let mut rng = Streams::new(1).open(Purpose::Mining, [0, 0]);
            group.bench_function(format!("{examples} per class, {violation:?}"), |b| {
                b.iter(|| miner.choose(black_box(&prototypes), 64, &mut rng).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, class_mining);
criterion_main!(benches);

//! N-pair-mc, forward and backward, D = 512.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench: criterion's entry points, and what fails ends it")]

use candle_core::Var;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use npair_losses::{NPairMc, PairLoss};

fn n_pair_mc(c: &mut Criterion) {
    let mut group = c.benchmark_group("N-pair-mc, D = 512, forward and backward");
    group.sample_size(20);
    for n in [256, 1024, 4096] {
        // Small enough that the logits are those of a network, within some units of each other.
        let side = |seed| (npair_benches::tensor(seed, &[n, 512]).unwrap() * 0.2).unwrap();
        let (f, p) = (Var::from_tensor(&side(1)).unwrap(), Var::from_tensor(&side(2)).unwrap());
        // The products that the value and both gradients need: 6 N^2 D operations.
        group.throughput(Throughput::Elements(6 * (n * n * 512) as u64));
        group.bench_function(format!("N = {n}"), |b| {
            b.iter(|| NPairMc.forward_pairs(&f, &p).unwrap().value.backward().unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, n_pair_mc);
criterion_main!(benches);

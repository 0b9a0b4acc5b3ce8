//! A training step of the four-block ConvNet (64 filters) on 120 pictures of 1 x 28 x 28, forward and backward, and its
//! evaluation.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench: criterion's entry points, and what fails ends it")]

use candle_core::{DType, Device};
use criterion::{Criterion, criterion_group, criterion_main};
use npair_backbones::{Backbone, ConvNet, ConvNetConfig};
use npair_nn::{Layer, Mode, Node, Tape, ToChannelsLast, VarMap, forward, forward_no_grad};
use npair_types::Streams;

fn training_step(c: &mut Criterion) {
    let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
    let config = ConvNetConfig { channels: 1, size: 28.into(), width: 64, blocks: 4 };
    let net = ConvNet::new(&varmap.root(), config).unwrap();
    let run = |x: &Node, tape: &mut Tape| {
        let images = ToChannelsLast.record(x, tape)?;
        Ok(net.record(&images, tape).map_err(candle_core::Error::from)?)
    };
    let x = npair_benches::tensor(1, &[120, 1, 28, 28]).unwrap();
    let mut group = c.benchmark_group("ConvNet, 64 filters, 120 x 1 x 28 x 28");
    group.sample_size(20);
    let mut step = 0;
    group.bench_function("forward and backward", |b| {
        b.iter(|| {
            step += 1;
            let y = forward(&x, &Mode::train(Streams::new(1), step), run).unwrap();
            y.sqr().unwrap().sum_all().unwrap().backward().unwrap()
        });
    });
    group.bench_function("evaluation", |b| b.iter(|| forward_no_grad(&x, &Mode::Eval, run).unwrap()));
    group.finish();
}

criterion_group!(benches, training_step);
criterion_main!(benches);

//! Times a training step of the usual ConvNet: forward, backward, evaluation; medians in milliseconds.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example that prints its figures")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::{Backbone, ConvNet, ConvNetConfig};
use npair_nn::{Mode, Params};
use npair_types::Streams;
use std::time::Instant;

fn main() {
    let batch = 120;
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(15);
    let evaluates = std::env::args().nth(2).is_none();
    let params = Params::new(Streams::new(1), DType::F32, &Device::Cpu);
    let net = ConvNet::new(&params.root(), ConvNetConfig::default()).unwrap();
    let pixels: Vec<f32> =
        (0..batch * 784).map(|i| ((i * 2_654_435_761_usize) >> 7 & 1023) as f32 / 512. - 1.).collect();
    let x = Tensor::from_vec(pixels, (batch, 1, 28, 28), &Device::Cpu).unwrap();
    let ms = |t: Instant| t.elapsed().as_secs_f64() * 1e3;
    let (mut forward, mut backward, mut step, mut eval) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let t = Instant::now();
        let loss = net.forward(&x, &Mode::train(Streams::new(1), round)).unwrap().sqr().unwrap().sum_all().unwrap();
        forward.push(ms(t));
        let half = Instant::now();
        let grads = loss.backward().unwrap();
        drop((loss, grads));
        backward.push(ms(half));
        step.push(ms(t));
        let t = Instant::now();
        if evaluates {
            net.forward(&x, &Mode::Eval).unwrap();
        }
        eval.push(ms(t));
    }
    for (name, mut times) in [("forward", forward), ("backward", backward), ("step", step), ("eval", eval)] {
        times.sort_by(f64::total_cmp);
        println!("{name:9} {:7.1} ms (least {:.1})", times[times.len() / 2], times[0]);
    }
}

//! Training on vectors of any origin (text, audio, tables): a perceptron that brings rows of one class together.
//!
//! ```text
//! cargo run --release -p npair-train --example vectors
//! ```
#![allow(clippy::print_stdout)] // an example prints

use candle_core::{DType, Device};
use npair_backbones::{VectorNet, VectorNetConfig};
use npair_batch::NPairSampler;
use npair_evaluate::{RetrievalScores, VectorInputs};
use npair_train::{Adam, AdamSettings, Cosine, Inputs, Purpose, Streams, Trainer, every};
use npair_types::{ExampleId, Labels};
use rand::Rng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Sixty classes of six rows; a class shows in the first eight columns, the other 24 are louder noise.
    let streams = Streams::new(7);
    let mut rng = streams.open(Purpose::Synthesis, [0, 0]);
    let mut values = Vec::new();
    for _ in 0..60 {
        let class: [f32; 8] = std::array::from_fn(|_| rng.random::<f32>() - 0.5);
        for _ in 0..6 {
            values.extend(class.iter().map(|v| v + 0.1 * (rng.random::<f32>() - 0.5)));
            values.extend((0..24).map(|_| 2. * (rng.random::<f32>() - 0.5)));
        }
    }
    let all = VectorInputs::new("made up", values, 32, Labels::new((0..360u32).map(|i| i / 6))?)?;
    let part = |name, from, to| all.subset(name, &(from..to).map(ExampleId).collect::<Vec<_>>());
    let (train, val) = (part("train", 0, 240)?, part("val", 240, 360)?);

    let config = VectorNetConfig { hidden: vec![32], ..VectorNetConfig::linear(32, 8) };
    let model = VectorNet::new(config, streams, DType::F32, &Device::Cpu)?;
    let sampler = NPairSampler::new(train.class_index(), 32, streams.open(Purpose::Sampling, [0, 0]))?;
    let folder = tempfile::tempdir()?;
    let mut trainer = Trainer::builder(model, train)
        .sampler(sampler)
        .optimizer(Adam::new(AdamSettings { learning_rate: 0.01, ..Default::default() })?)
        .schedule(Cosine::default())
        .validate(val, RetrievalScores::new(32, streams), every(50))
        .steps(200)
        .build(folder.path().join("run"))?;
    let outcome = trainer.fit()?;
    println!("recall@1 on unseen classes after {} steps: {:.3}", outcome.step, outcome.best.unwrap_or(0.));
    assert!(outcome.best > Some(0.5));
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}

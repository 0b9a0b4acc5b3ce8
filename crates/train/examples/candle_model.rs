//! A model of your own, written in candle, trained and resumed.
//!
//! ```text
//! cargo run --release -p npair-train --example candle_model
//! ```
#![allow(clippy::print_stdout)] // an example prints

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Linear, VarBuilder, VarMap, linear};
use npair_backbones::CandleModel;
use npair_batch::NPairSampler;
use npair_evaluate::VectorInputs;
use npair_train::{EmbeddingModel, Inputs, Purpose, Streams, Trainer};
use npair_types::Labels;

/// Two layers.
struct Net(Linear, Linear);

impl Module for Net {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.1.forward(&self.0.forward(x)?.relu()?)
    }
}

fn model() -> Result<impl EmbeddingModel + 'static, Box<dyn std::error::Error>> {
    let weights = VarMap::new();
    let vb = VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
    let net = Net(linear(6, 16, vb.pp("first"))?, linear(16, 4, vb.pp("second"))?);
    let variables = weights.data().lock().map_err(|e| e.to_string())?.clone();
    Ok(CandleModel::new("two layers", net, variables)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let values: Vec<f32> = (0..60 * 6).map(|i| ((i * 7919) % 101) as f32 / 101.).collect();
    let inputs = VectorInputs::new("made up", values, 6, Labels::new((0..60u32).map(|i| i / 2))?)?;
    let sampler = || NPairSampler::new(inputs.class_index(), 10, Streams::new(1).open(Purpose::Sampling, [0, 0]));
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let outcome = Trainer::builder(model()?, inputs.clone()).sampler(sampler()?).steps(5).build(&run)?.fit()?;
    println!("trained {} steps", outcome.step);

    // Later, in another process: the same parts, and five steps more from the checkpoint.
    let mut again = Trainer::builder(model()?, inputs.clone()).sampler(sampler()?).steps(10).resume(&run)?;
    println!("goes on at step {}", again.steps_done());
    assert_eq!((again.steps_done(), again.fit()?.step), (5, 10));
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}

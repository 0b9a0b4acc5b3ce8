//! A sampler of your own: batches of neighbouring classes, two examples each.
//!
//! ```text
//! cargo run --release -p npair-train --example own_sampler
//! ```
#![allow(clippy::print_stdout)] // an example prints

use candle_core::{DType, Device};
use npair_backbones::{VectorNet, VectorNetConfig};
use npair_batch::{BatchPlan, BatchSampler, Error, Result};
use npair_evaluate::VectorInputs;
use npair_train::{Inputs, Streams, Trainer};
use npair_types::{ClassIndex, Labels, Pairs, TupleKind, Tuples};

struct Neighbors(ClassIndex, usize);

impl BatchSampler for Neighbors {
    fn name(&self) -> &str {
        "neighbours"
    }
    fn kind(&self) -> TupleKind {
        TupleKind::Pairs
    }
    fn next_batch(&mut self) -> Result<BatchPlan> {
        let places = (0..4).map(|i| (self.1 + i) % self.0.len());
        let ids = places.flat_map(|place| self.0.examples(place)[..2].to_vec()).collect();
        let labels = Labels::from_ids((0..8).map(|i| self.0.classes()[(self.1 + i / 2) % self.0.len()]).collect())?;
        self.1 += 1;
        Ok(BatchPlan { ids, tuples: Tuples::Pairs(Pairs::from_labels(&labels)?), labels })
    }
    fn batch_size(&self) -> usize {
        8
    }
    fn batches_per_epoch(&self) -> usize {
        self.0.len()
    }
    fn left_out(&self) -> usize {
        0
    }
    fn save(&self) -> Result<serde_json::Value> {
        Ok(self.1.into())
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        self.1 = state.as_u64().ok_or_else(|| Error::State(format!("{state} is no number")))? as usize;
        Ok(())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let values: Vec<f32> = (0..40 * 5).map(|i| ((i * 7919) % 101) as f32 / 101.).collect();
    let inputs = VectorInputs::new("made up", values, 5, Labels::new((0..40u32).map(|i| i / 4))?)?;
    let model = VectorNet::new(VectorNetConfig::linear(5, 3), Streams::new(1), DType::F32, &Device::Cpu)?;
    let (sampler, folder) = (Neighbors(inputs.class_index(), 0), tempfile::tempdir()?);
    let outcome = Trainer::builder(model, inputs).sampler(sampler).steps(10).build(folder.path().join("run"))?.fit()?;
    println!("trained {} steps on neighbouring classes", outcome.step);
    assert_eq!(outcome.step, 10);
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}

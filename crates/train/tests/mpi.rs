//! Runs whose ranks are processes: this program starts itself under `mpirun`, and looks at what the ranks leave.
#![allow(clippy::unwrap_used)]

mod traces;

use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig, VectorNet, VectorNetConfig};
use npair_batch::NPairSampler;
use npair_collective::{Alone, Mpi};
use npair_data::{Channels, Dataset, GlyphConfig, GlyphSet, Pipeline, PipelineConfig};
use npair_evaluate::{PictureInputs, RetrievalScores, VectorInputs};
use npair_testkit::mpirun::{self, all_well, ends_soon, folder, process_of};
use npair_train::{Collective, Inputs, Ranks, Shards, Tag, Trainer, TrainerBuilder, every};
use npair_types::{Labels, Purpose, Streams};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use traces::left;

/// Parts of a batch, whatever the number of ranks.
const SHARDS: usize = 4;
const STEPS: u64 = 12;

fn main() {
    mpirun::cases(
        rank,
        &[
            ("vectors_train_to_the_same_bits_on_any_number_of_ranks", || same_bits("vectors")),
            ("glyphs_train_to_the_same_bits_on_any_number_of_ranks", || same_bits("glyphs")),
            ("a_rank_that_is_killed_ends_all_and_nothing_is_lost", killed),
        ],
    );
}

/// A process of `mpirun`.
fn rank(parts: &str, folder: &Path) {
    let mpi = Arc::new(Mpi::start().unwrap());
    mpirun::tell_process(folder, mpi.rank());
    let ranks: Arc<dyn Collective> = Arc::<Mpi>::clone(&mpi);
    train(parts, ranks, &folder.join("run"));
    mpi.finish().unwrap();
}

fn streams() -> Streams {
    Streams::new(5)
}

/// The parts of a run: N-pair on vectors with dropout, or on drawn glyphs with a network that has batch norm.
fn parts(name: &str) -> TrainerBuilder {
    let (dtype, device) = (candle_core::DType::F32, &candle_core::Device::Cpu);
    let rng = || streams().open(Purpose::Sampling, [0, 0]);
    let builder = match name {
        "vectors" => {
            let labels = Labels::new((0..60).map(|i| i / 5)).unwrap();
            let values = (0..60 * 20).map(|i| ((i * 7919) % 103) as f32 / 103. + (i / 100) as f32 / 12.);
            let rows = VectorInputs::new("rows", values.collect(), 20, labels).unwrap();
            let config = VectorNetConfig { hidden: vec![16], dropout: 0.2, ..VectorNetConfig::linear(20, 4) };
            let model = VectorNet::new(config, streams(), dtype, device).unwrap();
            let sampler = NPairSampler::new(rows.class_index(), 8, rng()).unwrap();
            let metric = RetrievalScores::new(4, streams());
            Trainer::builder(model, rows.clone()).sampler(sampler).validate(rows, metric, every(4))
        }
        _ => {
            let data = GlyphSet::new(GlyphConfig { classes: 12, instances: 4, ..GlyphConfig::default() }).unwrap();
            let pipeline = PipelineConfig { channels: Channels::Grey, size: 16.into(), ..PipelineConfig::default() };
            let index = data.class_index();
            let inputs = PictureInputs::new(Arc::new(data), Pipeline::new(pipeline).unwrap());
            let backbone = ConvNetConfig { size: 16.into(), width: 8, blocks: 2, channels: 1 };
            let config = EmbeddingNetConfig::new(BackboneConfig::ConvNet(backbone), 8);
            let model = EmbeddingNet::new(config, streams(), dtype, device).unwrap();
            Trainer::builder(model, inputs).sampler(NPairSampler::new(index, 8, rng()).unwrap())
        }
    };
    builder.steps(STEPS).checkpoint_every(2)
}

/// Begins a run, or goes on with the one that is there.
fn train(name: &str, ranks: Arc<dyn Collective>, folder: &Path) {
    // Every rank has looked before the first one makes the folder.
    let begun = folder.exists();
    ranks.barrier(Tag { what: "looked", number: 0 }).unwrap();
    let parts = parts(name).ranks(Ranks::new(ranks, Shards::new(SHARDS).unwrap()).unwrap());
    let mut trainer = if begun { parts.resume(folder) } else { parts.build(folder) }.unwrap();
    assert_eq!(trainer.fit().unwrap().step, STEPS);
}

/// What one process leaves.
fn alone(name: &str, folder: &Path) -> (Vec<String>, BTreeMap<String, Vec<u8>>) {
    train(name, Arc::new(Alone), folder);
    let left = left(folder);
    assert!(left.0.len() as u64 >= STEPS && left.1.len() >= 3, "{:?}", left.0);
    left
}

fn same_bits(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let want = alone(name, &dir.path().join("alone"));
    for ranks in [1, 2, 4] {
        let folder = folder(dir.path(), &ranks.to_string());
        all_well(ranks, name, &folder);
        assert!(left(&folder.join("run")) == want, "{name}: {ranks} ranks end with other bits than one process");
    }
}

/// Any rank, at twenty moments of a run; it goes on with one, two and three ranks in turn.
fn killed() {
    let dir = tempfile::tempdir().unwrap();
    let want = alone("glyphs", &dir.path().join("alone"));
    // How long a run takes here.
    let begun = Instant::now();
    all_well(3, "glyphs", &folder(dir.path(), "whole"));
    let length = begun.elapsed();
    let mut cut = 0;
    for moment in 0..20u64 {
        let place = folder(dir.path(), &moment.to_string());
        let (run, rank) = (place.join("run"), moment % 3);
        let mut ranks = mpirun::start(3, "glyphs", &place);
        // From the first step on, wherever that is: moments are spread over the rest by a fixed rule.
        let pid = process_of(&place, rank as usize, &mut ranks);
        std::thread::sleep(length.mul_f64((moment * 7 % 20) as f64 / 25.));
        let hit = Command::new("kill").args(["-9", &pid]).stderr(Stdio::null()).status().unwrap().success();
        let status = ends_soon(&mut ranks);
        assert_eq!(status.success(), !hit, "moment {moment}: {status}");
        cut += u64::from(hit && run.join("checkpoints").exists());
        if run.exists() || hit {
            all_well(1 + (moment % 3) as usize, "glyphs", &place);
        }
        assert!(
            left(&run) == want,
            "moment {moment}: a run that goes on after rank {rank} was killed ends with other bits"
        );
    }
    assert!(cut >= 5, "only {cut} runs were killed in their steps: they are too short to tell");
}

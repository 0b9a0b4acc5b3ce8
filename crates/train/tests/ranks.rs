//! Ranks that share a batch: as many steps are the same bits on any number of them, and near those of one process.
#![allow(clippy::unwrap_used)]

mod traces;

use candle_core::{DType, Device, Tensor};
use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig, VectorNet, VectorNetConfig};
use npair_batch::{BalancedSampler, BatchHard, NPairSampler};
use npair_collective::{Alone, Shards, ThreadRank, Threads};
use npair_evaluate::{RetrievalScores, VectorInputs, View};
use npair_losses::{CrossBatchMemory, LossContext, ProxyAnchor, SmoothTriplet};
use npair_train::{
    Callback, Collective, Error, GradCache, Inputs, Moment, Ranks, Result, StepReport, Trainer, TrainerBuilder, every,
};
use npair_types::{ExampleId, Labels, Purpose, Streams};
use std::path::Path;
use std::sync::Arc;
use traces::left;

const CLASSES: u32 = 12;
const SIDE: usize = 8;

/// Twelve classes of four rows each, which are small pictures too.
fn rows() -> VectorInputs {
    let labels = Labels::new((0..4 * CLASSES).map(|i| i / 4)).unwrap();
    let width = SIDE * SIDE;
    let values = (0..labels.len() * width).map(|i| ((i * 7919) % 103) as f32 / 103. + (i / (4 * width)) as f32 / 12.);
    VectorInputs::new("rows", values.collect(), width, labels).unwrap()
}

struct Pictures(VectorInputs);

impl Inputs for Pictures {
    fn labels(&self) -> &Labels {
        self.0.labels()
    }
    fn load(&self, ids: &[ExampleId], view: View) -> npair_evaluate::Result<Tensor> {
        Ok(self.0.load(ids, view)?.reshape((ids.len(), 1, SIDE, SIDE))?)
    }
}

fn rng() -> npair_types::ChaCha8Rng {
    Streams::new(1).open(Purpose::Sampling, [0, 0])
}

/// N-pair on vectors, with dropout, a hidden layer, validation and a schedule's worth of steps.
fn vectors() -> TrainerBuilder {
    let config = VectorNetConfig { hidden: vec![16], dropout: 0.2, ..VectorNetConfig::linear(SIDE * SIDE, 4) };
    let model = VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap();
    let sampler = NPairSampler::new(rows().class_index(), 6, rng()).unwrap();
    let metric = RetrievalScores::new(4, Streams::new(3));
    Trainer::builder(model, rows()).sampler(sampler).validate(rows(), metric, every(2)).steps(6).checkpoint_every(2)
}

/// A convolutional network with batch norm, triplets chosen in the batch.
fn pictures() -> TrainerBuilder {
    let backbone = ConvNetConfig { size: (SIDE as u32).into(), width: 6, blocks: 2, ..Default::default() };
    let config = EmbeddingNetConfig::new(BackboneConfig::ConvNet(backbone), 4);
    let model = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap();
    let sampler = BalancedSampler::new(rows().class_index(), 4, 3, rng()).unwrap();
    let builder =
        Trainer::builder(model, Pictures(rows())).sampler(sampler).loss(SmoothTriplet).miner(BatchHard::default());
    builder.steps(6).checkpoint_every(2)
}

/// A loss with rows of its own.
fn proxies() -> TrainerBuilder {
    let classes = rows().labels().classes();
    let rng = &mut Streams::new(2).open(Purpose::Initialization, [0, 0]);
    let (dtype, device) = (DType::F32, &Device::Cpu);
    let mut context = LossContext { classes: &classes, sizes: &[], sets: None, width: 4, rng, dtype, device };
    vectors().loss(ProxyAnchor::new(&mut context).unwrap())
}

/// So many pairs that the ranks share the loss's rows.
fn many_pairs() -> TrainerBuilder {
    let pairs = Ranks::SHARED_FROM as u32 + 4;
    let labels = Labels::new((0..2 * pairs).map(|i| i / 2)).unwrap();
    let values = (0..labels.len() * 6).map(|i| ((i * 7919) % 10_007) as f32 / 10_007. - 0.5);
    let rows = VectorInputs::new("rows", values.collect(), 6, labels).unwrap();
    let config = VectorNetConfig::linear(6, 4);
    let model = VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap();
    let sampler = NPairSampler::new(rows.class_index(), pairs as usize, rng()).unwrap();
    Trainer::builder(model, rows).sampler(sampler).steps(6).checkpoint_every(2)
}

/// Ends a run after its first steps; one rank alone wants to.
struct StopSoon;

impl Callback for StopSoon {
    fn name(&self) -> &str {
        "stop soon"
    }
    fn stop(&mut self) -> bool {
        true
    }
}

struct Hears;

impl Callback for Hears {
    fn name(&self) -> &str {
        "hears"
    }
    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> Result<()> {
        assert!(report.loss.is_finite());
        Ok(())
    }
}

fn share(own: &Arc<ThreadRank>, shards: usize) -> Ranks {
    Ranks::new(Arc::<ThreadRank>::clone(own), Shards::new(shards).unwrap()).unwrap()
}

/// Runs `work` on so many ranks.
fn on(ranks: usize, work: impl Fn(&Arc<ThreadRank>) -> Result<u64> + Sync) -> Vec<Result<u64>> {
    let all: Vec<_> = Threads::ranks(ranks).into_iter().map(Arc::new).collect();
    std::thread::scope(|scope| {
        let started: Vec<_> = all
            .into_iter()
            .map(|own| {
                scope.spawn({
                    let work = &work;
                    move || work(&own)
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn trained(parts: impl Fn() -> TrainerBuilder + Sync, ranks: usize, shards: usize, folder: &Path) {
    let steps = on(ranks, |own| Ok(parts().ranks(share(own, shards)).build(folder)?.fit_with(&mut Hears)?.step));
    assert!(steps.iter().all(|step| matches!(step, Ok(6))), "{steps:?}");
}

/// The same bits on one to four ranks, and after a stop on other numbers of ranks.
fn same_bits(parts: impl Fn() -> TrainerBuilder + Sync) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    trained(&parts, 1, 4, &place("1"));
    let want = left(&place("1"));
    assert!(want.1.len() >= 3 && want.0.len() >= 6, "{:?}", want.0);
    for ranks in 2..=4 {
        trained(&parts, ranks, 4, &place(&ranks.to_string()));
        assert!(left(&place(&ranks.to_string())) == want, "{ranks} ranks end with other bits than one");
    }
    let stopped = on(3, |own| {
        let mut trainer = parts().ranks(share(own, 4)).build(place("stopped"))?;
        let outcome = if own.rank() == 2 { trainer.fit_with(&mut StopSoon) } else { trainer.fit() };
        Ok(outcome?.step)
    });
    let step = *stopped[0].as_ref().unwrap();
    assert!((1..6).contains(&step) && stopped.iter().all(|s| *s.as_ref().unwrap() == step), "{stopped:?}");
    let ended = on(2, |own| Ok(parts().ranks(share(own, 4)).resume(place("stopped"))?.fit()?.step));
    assert!(ended.iter().all(|step| matches!(step, Ok(6))), "{ended:?}");
    assert!(left(&place("stopped")) == want, "a run that went on with fewer ranks ends with other bits");
    want.0
}

fn losses(journal: &[String]) -> Vec<f64> {
    let lines = journal.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "step").map(|line| line["loss"].as_f64().unwrap()).collect()
}

/// The losses of a run without ranks.
fn alone(parts: TrainerBuilder) -> Vec<f64> {
    let dir = tempfile::tempdir().unwrap();
    parts.build(dir.path().join("run")).unwrap().fit().unwrap();
    losses(&left(&dir.path().join("run")).0)
}

/// Sums in another order, through six steps of Adam.
fn near(a: &[f64], b: &[f64]) {
    assert!(a.len() == 6 && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3 * a.abs().max(1.)), "{a:?} {b:?}");
}

#[test]
fn vectors_train_to_the_same_bits_and_near_one_process() {
    near(&losses(&same_bits(vectors)), &alone(vectors()));
}

#[test]
fn pieces_a_memory_and_accumulation_are_shared_too() {
    let pieces = || vectors().grad_cache(GradCache::new(2).unwrap());
    near(&losses(&same_bits(pieces)), &alone(pieces()));
    let remembered = || vectors().memory(CrossBatchMemory::new(20, 1).unwrap()).accumulate(2);
    near(&losses(&same_bits(remembered)), &alone(remembered()));
}

#[test]
fn rows_of_many_pairs_are_shared() {
    near(&losses(&same_bits(many_pairs)), &alone(many_pairs()));
    same_bits(|| many_pairs().grad_cache(GradCache::new(700).unwrap()));
}

#[test]
fn a_loss_with_rows_of_its_own_moves_them_alike_everywhere() {
    near(&losses(&same_bits(proxies)), &alone(proxies()));
}

#[test]
fn running_statistics_are_the_mean_of_the_shards() {
    same_bits(pictures);
    same_bits(|| pictures().grad_cache(GradCache::new(2).unwrap()));
}

#[test]
fn one_shard_is_one_process() {
    let dir = tempfile::tempdir().unwrap();
    trained(pictures, 1, 1, &dir.path().join("run"));
    near(&losses(&left(&dir.path().join("run")).0), &alone(pictures()));
}

#[test]
fn what_cannot_be_shared_is_said() {
    let shards = |count| Shards::new(count).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let parts = vectors().ranks(Ranks::new(Arc::new(Alone), shards(13)).unwrap());
    let said = parts.build(dir.path().join("run")).unwrap_err().to_string();
    assert!(said.contains("13") && said.contains("12 examples"), "{said}");
    let found = on(3, |own| Ranks::new(Arc::<ThreadRank>::clone(own), shards(2)).map(|_| 0));
    assert!(found.iter().all(|found| matches!(found, Err(Error::Ranks(_)))), "{found:?}");
    // A folder that the first rank cannot take ends the others, too.
    std::fs::create_dir_all(dir.path().join("full/checkpoints")).unwrap();
    let found = on(2, |own| Ok(vectors().ranks(share(own, 4)).build(dir.path().join("full"))?.fit()?.step));
    assert!(matches!(found[0], Err(Error::File { .. })), "{found:?}");
    assert!(matches!(found[1], Err(Error::Ranks(npair_collective::Error::Lost { rank: 0 }))), "{found:?}");
}

#[test]
fn ranks_with_other_settings_are_out_of_step() {
    let dir = tempfile::tempdir().unwrap();
    let found = on(2, |own| {
        let parts = if own.rank() == 0 { vectors() } else { vectors().accumulate(2) };
        Ok(parts.ranks(share(own, 2)).build(dir.path().join("run"))?.fit()?.step)
    });
    let out = |found: &Result<u64>| matches!(found, Err(Error::Ranks(npair_collective::Error::OutOfStep { .. })));
    assert!(found.iter().all(out), "{found:?}");
}

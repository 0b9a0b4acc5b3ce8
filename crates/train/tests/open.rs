//! Parts that nobody here wrote: each is plugged in, trains, resumes to the same bits, and is named where it does not fit.
#![allow(clippy::unwrap_used)]

mod traces;

use candle_core::{DType, Device, Module, Tensor, Var};
use npair_backbones::{CandleModel, VectorNet, VectorNetConfig};
use npair_batch::*;
use npair_evaluate::{RetrievalScores, Scores, VectorInputs, View};
use npair_losses::*;
use npair_metrics::Embeddings;
use npair_similarity::Element;
use npair_train::Result;
use npair_train::*;
use npair_types::*;
use std::collections::{BTreeMap, HashMap};
use traces::left;

const CLASSES: u32 = 12;
const WIDTH: usize = 6;

/// Twelve classes of four rows each.
fn rows() -> VectorInputs {
    let labels = Labels::new((0..4 * CLASSES).map(|i| i / 4)).unwrap();
    let values = (0..labels.len() * WIDTH).map(|i| ((i * 7919) % 103) as f32 / 103. + (i / (4 * WIDTH)) as f32 / 12.);
    VectorInputs::new("rows", values.collect(), WIDTH, labels).unwrap()
}

fn model() -> VectorNet {
    let config = VectorNetConfig { hidden: vec![8], dropout: 0.2, ..VectorNetConfig::linear(WIDTH, 4) };
    VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap()
}

fn rng() -> ChaCha8Rng {
    Streams::new(1).open(Purpose::Sampling, [0, 0])
}

fn pairs() -> NPairSampler {
    NPairSampler::new(rows().class_index(), 6, rng()).unwrap()
}

fn many() -> BalancedSampler {
    BalancedSampler::new(rows().class_index(), 4, 3, rng()).unwrap()
}

/// Our own parts, for all that is not being plugged in.
fn usual() -> TrainerBuilder {
    Trainer::builder(model(), rows()).sampler(pairs()).steps(6).checkpoint_every(2)
}

/// Ends a run after some steps.
struct StopAfter(u64);

impl Callback for StopAfter {
    fn name(&self) -> &str {
        "stop after"
    }
    fn step(&mut self, _: &mut Moment<'_>, _: &StepReport) -> Result<()> {
        self.0 = self.0.saturating_sub(1);
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.0 == 0
    }
}

/// Trains with the parts, and again with a stop in the middle; both end with the same bits, and something was learned.
fn trains_and_resumes(parts: impl Fn() -> TrainerBuilder) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole", "stopped"].map(|name| dir.path().join(name));
    let mut trainer = parts().build(&whole).unwrap();
    let before = trainer.model().tensors().unwrap();
    assert_eq!(trainer.fit().unwrap().step, 6);
    // Not each has to: a loss of distances leaves the last bias where it is.
    let moved = trainer.model().tensors().unwrap().into_iter().filter(|(name, after)| {
        let apart = (after - &before[name]).unwrap().abs().unwrap().sum_all().unwrap();
        apart.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap() > 0.
    });
    assert!(moved.count() > 0, "{:?}", left(&whole).0);
    // Batches that are under way are finished first.
    let step = parts().build(&stopped).unwrap().fit_with(&mut StopAfter(1)).unwrap().step;
    assert!((1..6).contains(&step), "stopped after {step}");
    assert_eq!(parts().resume(&stopped).unwrap().fit().unwrap().step, 6);
    let (journal, files) = left(&whole);
    let (again, others) = left(&stopped);
    assert_eq!(journal, again);
    assert!(files == others, "the weights of a resumed run differ");
    journal
}

/// What is said of parts that do not fit; no folder is made.
fn refused(parts: TrainerBuilder) -> String {
    let dir = tempfile::tempdir().unwrap();
    let error = parts.build(dir.path().join("run")).err().unwrap();
    assert!(!dir.path().join("run").exists(), "{error}");
    error.to_string()
}

/// A module of candle.
struct Squash(candle_nn::Linear);

impl Module for Squash {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.0.forward(x)?.tanh()
    }
}

fn squash(width: usize) -> CandleModel<Squash> {
    let weights = candle_nn::VarMap::new();
    let vb = candle_nn::VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
    let linear = candle_nn::linear(width, 4, vb).unwrap();
    // candle draws first values from a generator that cannot be seeded.
    let variables = weights.data().lock().unwrap().clone();
    for var in variables.values() {
        let values = (0..var.elem_count()).map(|i| (i % 7) as f32 / 10. - 0.3).collect();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    CandleModel::new("squash", Squash(linear), variables).unwrap()
}

#[test]
fn a_candle_model() {
    trains_and_resumes(|| Trainer::builder(squash(WIDTH), rows()).sampler(pairs()).steps(6).checkpoint_every(2));
    let said = refused(Trainer::builder(squash(WIDTH + 1), rows()).sampler(pairs()));
    assert!(said.starts_with("model squash, inputs rows do not go together"), "{said}");
}

/// `1/B sum_i log(1 + sum_{n in N_i} exp(s_in - bar))`, s the cosine.
struct PushApart {
    bar: f64,
}

impl RowLoss for PushApart {
    const NAME: &'static str = "push apart";
    const ENTRY: Entry = Entry::Cosine;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let exps: Vec<(usize, f64)> =
            row.negatives().map(|n| (n, (row.entries()[n].wide() - self.bar).exp())).collect();
        let all = 1. + exps.iter().map(|(_, e)| e).sum::<f64>();
        exps.iter().for_each(|&(n, e)| gradient[n] = T::narrow(e / all));
        RowTerms::one(all.ln())
    }
}

#[test]
fn a_loss_over_rows() {
    let loss = || PushApart { bar: 0.5 };
    trains_and_resumes(|| usual().loss(loss()));
    // A memory and any miner of tuples come for nothing.
    trains_and_resumes(|| usual().loss(loss()).memory(CrossBatchMemory::new(30, 1).unwrap()));
    trains_and_resumes(|| usual().loss(loss()).sampler(many()).miner(AllTriplets::new(5).unwrap()));
}

/// The squared distance of two learned rows of classes to the embeddings of their class.
struct Pull(Var);

impl Loss for Pull {
    fn forward(&self, batch: &Batch) -> npair_losses::Result<LossValue> {
        let ids: Vec<u32> = batch.labels().as_slice().iter().map(|c| c.0).collect();
        let own = self.0.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        Ok(LossValue::smooth((batch.embeddings() - own)?.sqr()?.mean_all()?, batch.labels().len()))
    }
    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }
    fn name(&self) -> &str {
        "pull"
    }
    fn variables(&self) -> Vec<(String, Var)> {
        vec![("centers".to_owned(), self.0.clone())]
    }
}

#[test]
fn a_loss_with_variables_of_its_own() {
    let loss = || Pull(Var::ones((CLASSES as usize, 4), DType::F32, &Device::Cpu).unwrap());
    trains_and_resumes(|| usual().loss(loss()).accumulate(3).allow_dead(vec!["loss".to_owned()]));
    let said = refused(usual().loss(loss()).miner(AllTriplets::new(5).unwrap()));
    assert!(said.contains("loss pull") && said.contains("miner") && said.contains("leave the miner out"), "{said}");
    let said = refused(usual().loss(loss()).memory(CrossBatchMemory::new(30, 0).unwrap()));
    assert!(said.contains("loss pull") && said.contains("a memory"), "{said}");
}

/// Angles, which a model sees as points of a circle.
struct Angles(Labels);

impl Inputs for Angles {
    fn labels(&self) -> &Labels {
        &self.0
    }
    fn load(&self, ids: &[ExampleId], _: View) -> npair_evaluate::Result<Tensor> {
        let angle = |id: &ExampleId| (self.0.get(id.0).0 as f32 + 0.1 * (id.0 % 4) as f32) * 0.5;
        let rows: Vec<f32> = ids.iter().flat_map(|id| [angle(id).cos(), angle(id).sin()]).collect();
        Ok(Tensor::from_vec(rows, (ids.len(), 2), &Device::Cpu)?)
    }
    fn name(&self) -> &str {
        "angles"
    }
}

#[test]
fn a_data_set() {
    let angles = || Angles(rows().labels().clone());
    trains_and_resumes(|| Trainer::builder(squash(2), angles()).sampler(pairs()).steps(6).checkpoint_every(2));
    let said = refused(Trainer::builder(model(), angles()).sampler(pairs()));
    assert!(said.contains("inputs angles") && said.contains("takes (batch, 6)"), "{said}");
}

/// Batches of neighbouring classes.
struct Neighbors(ClassIndex, usize);

impl BatchSampler for Neighbors {
    fn name(&self) -> &str {
        "neighbours"
    }
    fn kind(&self) -> TupleKind {
        TupleKind::Labeled
    }
    fn next_batch(&mut self) -> npair_batch::Result<BatchPlan> {
        let at = |i: usize| (self.1 + i / 2) % self.0.len();
        let ids = (0..8).map(|i| self.0.examples(at(i))[i % 2]).collect();
        let labels = Labels::from_ids((0..8).map(|i| self.0.classes()[at(i)]).collect())?;
        self.1 += 1;
        Ok(BatchPlan { ids, labels, tuples: Tuples::Labeled })
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
    fn save(&self) -> npair_batch::Result<serde_json::Value> {
        Ok(self.1.into())
    }
    fn restore(&mut self, state: &serde_json::Value) -> npair_batch::Result<()> {
        self.1 = state.as_u64().ok_or_else(|| npair_batch::Error::State("no number".into()))? as usize;
        Ok(())
    }
}

#[test]
fn a_sampler() {
    trains_and_resumes(|| usual().sampler(Neighbors(rows().class_index(), 0)));
    let said = refused(usual().sampler(Neighbors(rows().class_index(), 0)).loss(NTuplet));
    assert!(said.contains("sampler neighbours") && said.contains("take the tuplet sampler"), "{said}");
}

/// Every row with the rows beside it.
struct Beside;

impl TupleMiner for Beside {
    fn mine(&self, _: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> npair_batch::Result<Mined> {
        let n = labels.len();
        let beside = (0..n).flat_map(|i| [[i, (i + n - 1) % n], [i, (i + 1) % n]]);
        let (same, other) = beside.partition(|&[i, j]| labels.same(i, j));
        Ok(Mined::pairs(PairList::new(same, other, labels)?, labels))
    }
    fn kind(&self) -> TupleKind {
        TupleKind::PairList
    }
    fn name(&self) -> &str {
        "beside"
    }
}

#[test]
fn a_miner_of_tuples() {
    trains_and_resumes(|| usual().sampler(many()).loss(Contrastive::new(2.).unwrap()).miner(Beside));
    trains_and_resumes(|| usual().sampler(many()).loss(Circle::default()).miner(Beside));
    let said = refused(usual().sampler(many()).loss(FastAp::new(10).unwrap()).miner(Beside));
    assert!(said.contains("miner beside") && said.contains("leave the miner out"), "{said}");
}

/// Takes the classes in turn, wherever they lie.
struct InTurn(usize);

impl ClassMiner for InTurn {
    fn choose(&mut self, prototypes: &Prototypes, n: usize, _: &mut ChaCha8Rng) -> npair_batch::Result<ChosenClasses> {
        let indices = (0..n).map(|i| (self.0 + i) % prototypes.len()).collect();
        self.0 += 1;
        Ok(ChosenClasses { indices, violations: Vec::new() })
    }
    fn name(&self) -> &str {
        "in turn"
    }
    fn save(&self) -> npair_batch::Result<serde_json::Value> {
        Ok(self.0.into())
    }
    fn restore(&mut self, state: &serde_json::Value) -> npair_batch::Result<()> {
        self.0 = state.as_u64().ok_or_else(|| npair_batch::Error::State("no number".into()))? as usize;
        Ok(())
    }
}

#[test]
fn a_class_miner() {
    let sets = GreedyMiningSettings { candidates: 8, refresh: 2, ..Default::default() }.candidate_sets();
    let sampler = || NPairSampler::mined(rows().class_index(), 4, sets, Box::new(InTurn(0)), rng()).unwrap();
    let journal = trains_and_resumes(|| usual().sampler(sampler()));
    assert_eq!(journal.iter().filter(|line| line.contains("\"mining\"")).count(), 3, "{journal:?}");
    let said = refused(usual().sampler(sampler()).loss(NTuplet));
    assert!(said.contains("take the tuplet sampler"), "{said}");
}

/// The largest entry of all.
struct Largest;

impl Metric for Largest {
    fn name(&self) -> &str {
        "largest"
    }
    fn scores(&self, set: &Embeddings) -> npair_evaluate::Result<Scores> {
        let largest = set.wide().iter().copied().fold(f64::MIN, f64::max);
        Ok(Scores::of_set("val", set).with("largest", largest).with("smallest", -largest))
    }
}

#[test]
fn a_metric() {
    let parts = || usual().validate(rows(), Largest, every(2));
    let journal = trains_and_resumes(|| parts().select_by("smallest"));
    assert_eq!(journal.iter().filter(|line| line.contains("\"name\":\"smallest\"")).count(), 3);
    let said = refused(parts().select_by("smalest"));
    assert!(said.contains("smalest") && said.contains("largest, smallest"), "{said}");
}

/// Counts steps across stops.
struct Count(u64);

impl Callback for Count {
    fn name(&self) -> &str {
        "count"
    }
    fn step(&mut self, at: &mut Moment<'_>, _: &StepReport) -> Result<()> {
        self.0 += 1;
        at.record("count", serde_json::json!({ "steps": self.0 }))
    }
    fn state(&self) -> Result<PartState> {
        Ok(PartState { value: self.0.into(), tensors: Vec::new() })
    }
    fn restore(&mut self, state: &PartState) -> std::result::Result<(), String> {
        self.0 = state.value.as_u64().ok_or("is no number")?;
        Ok(())
    }
}

#[test]
fn a_callback() {
    let journal = trains_and_resumes(|| usual().callback(Count(0)).callback(WeightAverage::new(0.9).unwrap()));
    let counts: Vec<&String> = journal.iter().filter(|line| line.contains("\"count\"")).collect();
    assert!(counts.len() == 6 && counts[5].contains("\"steps\":6"), "{counts:?}");
    let said = refused(usual().callback(Count(0)).callback(Count(0)));
    assert!(said.contains("two are called count"), "{said}");
}

/// Steps of a fixed length against the sign of a running mean.
struct Signs(HashMap<usize, Tensor>);

impl Optimizer for Signs {
    fn name(&self) -> &str {
        "signs"
    }
    fn learning_rate(&self) -> f64 {
        0.01
    }
    fn update(&mut self, at: usize, var: &Var, gradient: &Tensor, with: Update) -> Result<()> {
        let mean = match self.0.get(&at) {
            Some(mean) => ((mean * 0.5)? + gradient)?,
            None => gradient.clone(),
        };
        var.set(&(var.as_detached_tensor() - (mean.sign()? * with.learning_rate)?)?)?;
        self.0.insert(at, mean);
        Ok(())
    }
    fn state(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        Ok((self.0.iter().map(|(at, mean)| (format!("sign/{at}"), mean.clone())).collect(), 0))
    }
    fn restore(&mut self, tensors: &HashMap<String, Tensor>, _: u64) -> std::result::Result<(), String> {
        let own = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix("sign/")?.parse().ok()?, t.clone())));
        self.0 = own.collect();
        Ok(())
    }
}

/// Half the rate every other step.
struct Limp;

impl Schedule for Limp {
    fn name(&self) -> &str {
        "limp"
    }
    fn factor(&self, step: u64, _: u64) -> f64 {
        if step.is_multiple_of(2) { 1. } else { 0.5 }
    }
}

#[test]
fn an_optimizer_and_a_schedule() {
    let journal = trains_and_resumes(|| usual().optimizer(Signs(HashMap::new())).schedule(Limp));
    let rates = ["\"learning_rate\":0.01,", "\"learning_rate\":0.005,"];
    assert!(rates.iter().all(|rate| journal.iter().filter(|line| line.contains(rate)).count() == 3), "{journal:?}");
}

#[test]
fn what_is_missing_or_twice_is_said() {
    let said = refused(Trainer::builder(model(), rows()));
    assert!(said.contains("NPairSampler"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let said = usual().build(dir.path()).err().unwrap().to_string();
    assert!(said.contains("is not empty (it holds letter.txt)"), "{said}");
    let run = dir.path().join("run");
    usual().steps(1).build(&run).unwrap().fit().unwrap();
    assert!(usual().build(&run).err().unwrap().to_string().contains("there is a run already"));
    assert!(usual().resume(dir.path()).err().unwrap().to_string().contains("is no run"));
    let best = usual().validate(rows(), RetrievalScores::new(6, Streams::new(0)), every(1)).steps(2);
    assert!(best.build(dir.path().join("best")).unwrap().fit().unwrap().best.is_some());
}

/// Gives more each time it is asked, so that what is judged last is the best.
struct MoreEachTime(std::sync::atomic::AtomicU64);

impl npair_evaluate::Metric for MoreEachTime {
    fn name(&self) -> &str {
        "more each time"
    }
    fn scores(&self, set: &Embeddings) -> npair_evaluate::Result<Scores> {
        let asked = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Scores::of_set("made up", set).with("score", asked as f64))
    }
}

/// Averages the weights as `WeightAverage` has to.
struct HalfAndHalf(BTreeMap<String, Tensor>);

impl Callback for HalfAndHalf {
    fn name(&self) -> &str {
        "half and half"
    }
    fn step(&mut self, at: &mut Moment<'_>, _: &StepReport) -> Result<()> {
        for (name, now) in at.model.tensors()? {
            let next = self.0.get(&name).map_or(Ok(now.clone()), |old| (old + &now)?.affine(0.5, 0.))?;
            self.0.insert(name, next);
        }
        Ok(())
    }
}

#[test]
fn an_average_of_weights_is_judged_beside_them_and_kept_where_it_is_better() {
    let averaged = || usual().callback(WeightAverage::new(0.5).unwrap());
    let retrieval = || RetrievalScores::new(6, Streams::new(3));
    let journal = trains_and_resumes(|| averaged().validate(rows(), retrieval(), every(3)).judge_first(true));
    let judged = |of: &str| journal.iter().filter(|line| line.contains("evaluation") && line.contains(of)).count();
    assert_eq!((judged("evaluation"), judged("average of weights"), judged("\"step\":0")), (5, 2, 1));
    let dir = tempfile::tempdir().unwrap();
    let mut trainer = averaged()
        .validate(rows(), MoreEachTime(Default::default()), every(6))
        .select_by("score")
        .build(dir.path().join("run"))
        .unwrap();
    let mut own = HalfAndHalf(BTreeMap::new());
    trainer.fit_with(&mut own).unwrap();
    let best = dir.path().join("run/checkpoints/best");
    let kept = candle_core::safetensors::load(best.join("model.safetensors"), &Device::Cpu).unwrap();
    let last = trainer.model().tensors().unwrap();
    let apart = |a: &Tensor, b: &Tensor| (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    // A half is exact; a sum of two values is rounded once, here and there.
    assert!(kept.iter().all(|(name, tensor)| apart(tensor, &own.0[name]) <= f32::EPSILON), "it is the average");
    assert!(kept.iter().any(|(name, tensor)| apart(tensor, &last[name]) > f32::EPSILON), "and not the weights");
    assert!(std::fs::read_to_string(best.join("step.json")).unwrap().contains("average of weights"));
}

//! The same seed gives the same bits: twice, on any number of threads, and over a stop.
#![allow(clippy::unwrap_used)]

use npair_recipe::{Config, Run, Training, Which};
use npair_testkit::threads;
use npair_train::{Callback, Moment, StepReport};
use std::collections::BTreeMap;
use std::path::Path;

const SMALL: &str = r#"
    seed = 5
    [data]
    seen = 2
    rotations = true
    [data.glyphs]
    classes = 30
    instances = 6
    size = 20
    [data.split]
    by = "classes"
    val = 4
    test = 6
    [images]
    size = 16
    invert = true
    [images.augment]
    rotate = 10.0
    shift = 0.1
    fill = { value = 1.0 }
    [model]
    width = 6
    blocks = 3
    embedding = 5
    dropout = 0.2
    [batch]
    classes = 6
    [optimizer]
    clip_norm = 0.5
    weight_decay = 0.01
    accumulate = 2
    [training]
    steps = 8
    eval_every = 3
    checkpoint_every = 4
    probe_every = 2
"#;

/// Losses of all steps, and a wish to stop after one of them.
#[derive(Default)]
struct Losses {
    seen: Vec<u64>,
    stop_after: Option<u64>,
}

impl Callback for Losses {
    fn name(&self) -> &str {
        "losses"
    }
    fn step(&mut self, _: &mut Moment<'_>, r: &StepReport) -> npair_train::Result<()> {
        self.seen.push(r.loss.to_bits());
        Ok(())
    }
    fn stop(&mut self) -> bool {
        self.stop_after.is_some_and(|s| self.seen.len() as u64 >= s)
    }
}

fn config(sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Config::parse("test", SMALL, &sets).unwrap()
}

/// All bytes of the last checkpoint, by file, but for the times.
fn checkpoint(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let place = Run::open(folder).unwrap().checkpoint(Which::Last).unwrap();
    let files = std::fs::read_dir(place).unwrap().map(|f| f.unwrap().path());
    files.map(|f| (f.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&f).unwrap())).collect()
}

/// The probes of a run's journal: they too have to be those of an uninterrupted run, each once.
fn probes(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().filter(|l| l.contains("\"probe\"")).map(str::to_owned).collect()
}

const KINDS: [&[&str]; 14] = [
    &[
        "model.freeze=[\"backbone.block1\"]",
        "optimizer.group=[{prefix=\"head\",lr_scale=10.0,decay_scale=0.0},{prefix=\"backbone\",lr_scale=0.5}]",
        "loss.name=proxy-anchor",
    ],
    &["loss.name=n-pair-mc", "batch.temper=0.5"],
    &["loss.name=n-pair-mc", "batch.mining.candidates=15", "batch.mining.refresh=3", "batch.mining.examples=2"],
    &["loss.name=triplet", "batch.mining.candidates=15", "batch.mining.refresh=2"],
    &["loss.name=tuplet", "batch.classes=4", "optimizer.name=sgd", "optimizer.learning_rate=0.05"],
    &[
        "loss.name=softmax",
        "schedule.name=step",
        "schedule.milestones=[3]",
        "loss.class_beta=0.9",
        "optimizer.layer_decay=0.5",
    ],
    &["loss.name=nca-style", "batch.per_class=3", "schedule.warm_up=3", "optimizer.name=adan"],
    &["loss.name=triplet", "miner.name=distance-weighted", "batch.per_class=3", "batch.temper=1.0"],
    &["training.grad_cache=5", "optimizer.name=lion"],
    // The memory is full after step 4, and filled anew by step 7.
    &["loss.name=sup-con", "batch.per_class=3", "memory.size=70", "memory.start_step=1"],
    &["memory.size=20", "batch.mining.candidates=15", "batch.mining.refresh=2", "training.grad_cache=7"],
    &[SUM[0], SUM[1], "memory.size=30", "training.grad_cache=4", REGULARIZERS],
    PLATEAU,
    // Every picture is a class of its own.
    &[
        "data.views=3",
        "data.rotations=false",
        "data.seen=0",
        "loss.name=nt-xent",
        "batch.per_class=3",
        "batch.temper=1.0",
    ],
];

/// Scores of so few pictures are often equal: the rate falls, by what was validated before the stop too.
const PLATEAU: &[&str] =
    &["schedule.name=plateau", "schedule.patience=2", "schedule.factor=0.5", "training.eval_every=1"];

const SUM: [&str; 2] = [
    "loss.name=weighted-sum",
    "loss.parts=[{name=\"n-pair-mc\",weight=1.0},{name=\"proxy-anchor\",weight=0.2},{name=\"circle\",weight=0.01,gamma=20.0},\
     {name=\"proxy-anchor\",weight=0.1,alpha=8.0}]",
];

const REGULARIZERS: &str =
    "regularizer=[{name=\"ko-leo\",weight=0.1},{name=\"regular-face\",weight=0.1,of=\"classes\"}]";

#[test]
fn the_same_bits_twice_and_on_two_threads() {
    for sets in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let counter = std::sync::atomic::AtomicUsize::new(0);
        let runs = threads::with_threads(&[1, 2, 2], || {
            let nth = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let folder = dir.path().join(nth.to_string());
            let mut watch = Losses::default();
            let mut trainer = Training::start(config(sets), &folder).unwrap();
            trainer.train(&mut watch).unwrap();
            (watch.seen, checkpoint(&folder), probes(&folder))
        });
        assert_eq!(runs[0].0.len(), 8);
        assert!(runs[0] == runs[1], "{sets:?}: 1 and 2 threads differ");
        assert!(runs[1] == runs[2], "{sets:?}: two equal runs differ");
    }
}

#[test]
fn resumed_equals_uninterrupted() {
    for sets in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        let mut uninterrupted = Losses::default();
        Training::start(config(sets), &whole).unwrap().train(&mut uninterrupted).unwrap();

        // Stopped in an orderly way: batches under way are finished, a checkpoint is written.
        let stopped = dir.path().join("stopped");
        let mut first = Losses { stop_after: Some(2), ..Losses::default() };
        let outcome = Training::start(config(sets), &stopped).unwrap().train(&mut first).unwrap();
        assert!((2..8).contains(&outcome.step), "{sets:?}: stopped at {}", outcome.step);
        let mut rest = Losses::default();
        Training::resume(&stopped).unwrap().train(&mut rest).unwrap();
        assert_eq!([first.seen, rest.seen].concat(), uninterrupted.seen, "{sets:?}: stopped");
        assert!(checkpoint(&stopped) == checkpoint(&whole), "{sets:?}: stopped");
        assert_eq!(probes(&stopped), probes(&whole), "{sets:?}: stopped");

        // Killed between checkpoints: what happened after the last one is lost, and happens again.
        let killed = dir.path().join("killed");
        let mut first = Kill { after: 6, seen: Losses::default() };
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Training::start(config(sets), &killed).unwrap().train(&mut first).map(|_| ())
        }));
        assert!(run.is_err(), "the run was not killed");
        let mut rest = Losses::default();
        let mut trainer = Training::resume(&killed).unwrap();
        assert_eq!(trainer.steps_done(), 4);
        trainer.train(&mut rest).unwrap();
        assert_eq!(rest.seen[..], uninterrupted.seen[4..], "{sets:?}: killed");
        assert!(checkpoint(&killed) == checkpoint(&whole), "{sets:?}: killed");
        assert_eq!(probes(&killed), probes(&whole), "{sets:?}: killed");
    }
}

/// The learning rates of a run's steps.
fn rates(folder: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "step").map(|line| line["learning_rate"].as_f64().unwrap()).collect()
}

/// The settings of [`KINDS`] do what they are there for: the rate falls after three validations at the earliest, and no stop between
/// them moves that.
#[test]
fn a_rate_falls_by_what_was_validated_before_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    Training::start(config(PLATEAU), &whole).unwrap().train(&mut Losses::default()).unwrap();
    let rates_of_whole = rates(&whole);
    assert!(rates_of_whole[..3].iter().all(|&rate| rate == 3e-3), "{rates_of_whole:?}");
    assert!(rates_of_whole[7] < 3e-3, "{rates_of_whole:?}");
    for stop in 1..8 {
        let folder = dir.path().join(stop.to_string());
        let mut first = Losses { stop_after: Some(stop), ..Losses::default() };
        let outcome = Training::start(config(PLATEAU), &folder).unwrap().train(&mut first).unwrap();
        if outcome.step < 8 {
            Training::resume(&folder).unwrap().train(&mut Losses::default()).unwrap();
        }
        assert_eq!(rates(&folder), rates_of_whole, "stopped after {stop}");
    }
}

/// Dies in the middle of training without a word.
struct Kill {
    after: u64,
    seen: Losses,
}

impl Callback for Kill {
    fn name(&self) -> &str {
        "kill"
    }
    fn step(&mut self, at: &mut Moment<'_>, r: &StepReport) -> npair_train::Result<()> {
        self.seen.step(at, r)?;
        assert!(r.step < self.after, "killed");
        Ok(())
    }
}

/// Every name that `loss.name` may have, as the error for a wrong one lists them.
fn losses() -> Vec<String> {
    let said = Config::parse("test", "[loss]\nname = \"?\"", &[]).unwrap_err().to_string();
    let (_, known) = said.split_once("known are ").unwrap();
    known.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_loss_trains_and_every_variable_is_reached() {
    // All that npair-losses has; the trainer itself stops at step 1 if a variable is not reached.
    assert_eq!(losses().len(), 39);
    for name in losses() {
        let dir = tempfile::tempdir().unwrap();
        let set = format!("loss.name={name}");
        let mut sets = vec![&*set, "training.steps=2", "training.eval_every=0", "training.probe_every=0"];
        if matches!(&*name, "triplet-margin" | "contrastive") {
            // The paper names no value.
            let said = Training::start(config(&sets), &dir.path().join("none")).err().unwrap().to_string();
            assert!(said.contains("margin"), "{name}: {said}");
            sets.push("loss.margin=0.5");
        }
        if name == "weighted-sum" {
            sets.push(SUM[1]);
        }
        let mut losses = Losses::default();
        let mut trainer = Training::start(config(&sets), &dir.path().join("run")).unwrap();
        let before = trainer.model().tensors().unwrap();
        trainer.train(&mut losses).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(losses.seen.len(), 2, "{name}");
        for (key, after) in trainer.model().tensors().unwrap() {
            let moved = (&after - &before[&key]).unwrap().abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(moved > 0., "{name}: {key} did not move");
        }
        // What is written down is read again, defaults included.
        let written = trainer.config().to_toml().unwrap();
        assert_eq!(&Config::parse("again", &written, &[]).unwrap(), trainer.config(), "{name}");
    }
}

#[test]
fn what_cannot_work_of_layers_tails_views_and_plateaus_is_said_first() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let said = |sets: &[&str]| Training::start(config(sets), &folder).err().unwrap().to_string();
    assert!(said(&["optimizer.layer_decay=1.5"]).contains("optimizer.layer_decay: is 1.5"));
    assert!(
        said(&["optimizer.layer_decay=0.5", "model.freeze=[\"backbone\"]"]).contains("the last layer alone trains")
    );
    for (set, want) in [
        ("batch.temper=1.5", "from 0 (all classes alike)"),
        ("batch.mining.candidates=9", "batch.mining chooses"),
        ("loss.name=tuplet", "of the tuplet loss"),
    ] {
        let got = said(&["batch.temper=0.5", set]);
        assert!(got.contains("batch.temper") && got.contains(want), "{got}");
    }
    assert!(said(&["loss.name=cos-face", "loss.class_beta=1.0"]).contains("loss.class_beta"));
    for (sets, want) in [
        (["data.views=1", "data.rotations=false"], "data.views: is 1"),
        (["data.views=2", "data.rotations=true"], "data.rotations: makes classes of turned ones"),
        (["data.views=2", "data.rotations=false"], "data.seen: keeps examples of every class back"),
    ] {
        let got = said(&sets);
        assert!(got.contains(want), "{got}");
    }
    let views = |set: &str| said(&["data.views=2", "data.rotations=false", "data.seen=0", set]);
    assert!(views("data.split={by=\"instances\",test=1}").contains("data.split: is of classes"));
    let nca =
        said(&["data.views=2", "data.rotations=false", "data.seen=0", "loss.name=nca-style", "batch.per_class=3"]);
    assert!(nca.contains("batch.per_class: is 3, but there are 2 views"), "{nca}");
    let plateau = |set: &str| said(&["schedule.name=plateau", set]);
    assert!(plateau("training.eval_every=0").contains("training.eval_every: is 0"));
    assert!(plateau("data.split={by=\"classes\",val=0,test=6}").contains("schedule.name: is plateau"));
    assert!(plateau("schedule.patience=3").contains("could fall after step 12"));
    assert!(plateau("schedule.factor=1.0").contains("schedule.factor"));
    assert!(said(&["schedule.floor=1.5"]).contains("schedule.floor"));
    assert!(!folder.exists());
}

#[test]
fn mistakes_leave_no_folder_and_harm_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let said = |sets: &[&str]| Training::start(config(sets), &folder).err().unwrap().to_string();
    assert!(said(&["batch.classes=500"]).contains("needs 500 classes"));
    assert!(said(&["training.steps=0"]).contains("training.steps"));
    assert!(said(&["loss.name=tuplet", "batch.mining.candidates=9"]).contains("no class mining"));
    assert!(said(&["batch.per_class=3"]).contains("exactly 2"));
    assert!(said(&["optimizer.learning_rate=-1.0"]).contains("learning_rate"));
    assert!(said(&["model.blocks=9"]).contains("blocks"));
    assert!(said(&["loss.name=softmax", "memory.size=9"]).contains("meets no memory"));
    assert!(said(&["loss.name=triplet", "memory.size=9"]).contains("meets no memory"));
    assert!(said(&["loss.name=weighted-sum", "loss.parts=[]"]).contains("at least one [[loss.parts]]"));
    assert!(
        said(&[
            "loss.name=weighted-sum",
            "loss.parts=[{name=\"tuplet\",weight=1.0},{name=\"circle\",weight=1.0},\
               {name=\"n-pair-mc\",weight=1.0}]"
        ])
        .contains("take losses that go together")
    );
    assert!(said(&["loss.name=weighted-sum", "loss.parts=[{name=\"circle\",weight=0.0}]"]).contains("above 0"));
    assert!(said(&[SUM[0], SUM[1], "batch.per_class=3"]).contains("exactly 2"));
    assert!(said(&["regularizer=[{name=\"ko-leo\",weight=1.0,of=\"classes\"}]"]).contains("no rows for classes"));
    assert!(said(&["regularizer=[{name=\"ko-leo\",weight=-1.0}]"]).contains("regularizer.weight"));
    assert!(!folder.exists());
    Training::start(config(&["training.steps=1"]), &folder).unwrap().train(&mut Losses::default()).unwrap();
    assert!(said(&[]).contains("there is a run already"));
    // Weights and optimizer memory of another network or loss.
    for (from, to) in [
        ("width = 6", "width = 7"),
        ("name = \"n-pair-mc\"", "name = \"softmax\""),
        ("name = \"adam\"", "name = \"sgd\""),
    ] {
        let file = folder.join("config.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let error = Training::resume(&folder).err().unwrap().to_string();
        assert!(error.contains("other parts") && error.lines().count() == 1, "{error}");
        std::fs::write(&file, text).unwrap();
    }
    // A diverging run says so and leaves its checkpoint whole.
    let folder = dir.path().join("diverging");
    let sets = [
        "optimizer.name=sgd",
        "optimizer.learning_rate=1e30",
        "optimizer.clip_norm=0.0",
        "training.checkpoint_every=1",
        "training.eval_every=0",
        "training.probe_every=0",
    ];
    let error = Training::start(config(&sets), &folder).unwrap().train(&mut Losses::default()).unwrap_err().to_string();
    assert!(error.contains("finite") || error.contains("overflows"), "{error}");
    Training::resume(&folder).unwrap();
}

//! Thirteen runs with a planted fault, each named, and twenty healthy ones in which none is found.
#![allow(clippy::unwrap_used)]

use npair_evaluate::Vectors;
use npair_recipe::doctor::{Case, Fault, Finding, Grade, Seen};
use npair_recipe::{Config, Run, Training};
use npair_train::{Callback, RunFolder, Which};
use npair_types::{Labels, Purpose, Streams};
use rand::Rng;
use std::path::Path;

/// Vectors of classes: half of the components tell the class, the other half is noise that hides it from a plain comparison.
#[derive(Clone, Copy)]
struct Made {
    classes: u32,
    each: u32,
    /// How far examples of a class scatter, where centers scatter by 1.
    scatter: f32,
    /// What all components are multiplied by.
    scale: f32,
}

const WIDTH: usize = 24;
const USUAL: Made = Made { classes: 60, each: 8, scatter: 0.25, scale: 1. };

impl Made {
    fn rows(self) -> Vec<([f32; WIDTH], u32)> {
        let mut rng = Streams::new(11).open(Purpose::Synthesis, [0, 0]);
        let mut normal = move || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.;
        let centers: Vec<[f32; WIDTH]> = (0..self.classes).map(|_| std::array::from_fn(|_| normal())).collect();
        let mut rows = Vec::new();
        for class in 0..self.classes {
            for _ in 0..self.each {
                let value = |c: usize| {
                    let told = centers[class as usize][c] + self.scatter * normal();
                    self.scale * if c < WIDTH / 2 { told } else { 1.5 * normal() }
                };
                rows.push((std::array::from_fn(value), class));
            }
        }
        rows
    }
}

/// Does nothing.
struct Quiet;
impl Callback for Quiet {
    fn name(&self) -> &str {
        "quiet"
    }
}

/// Trains on rows by settings, and examines the run; a run that ends in an error is examined as well.
fn examined(dir: &Path, rows: &[([f32; WIDTH], u32)], settings: &str) -> (Vec<Finding>, Case) {
    let file = dir.join("x.npy");
    let vectors = Vectors {
        values: rows.iter().flat_map(|row| row.0).collect(),
        width: WIDTH,
        labels: Some(Labels::new(rows.iter().map(|row| row.1)).unwrap()),
        names: Vec::new(),
        classes: Vec::new(),
    };
    let written = vectors.write(&file).unwrap();
    let source = format!("data.source=\"vectors={},labels={}\"", written[0].display(), written[1].display());
    let config = Config::parse("here", settings, &[source]).unwrap();
    let folder = dir.join("run");
    let mut training = Training::start(config, &folder).unwrap();
    let ended = training.train(&mut Quiet);
    let run = Run::open(&folder).unwrap();
    let mut case = Case::of_run(&run).unwrap();
    assert_eq!(ended.is_err(), case.told.diverged.is_some(), "{ended:?}");
    assert!(RunFolder::open(&folder).unwrap().checkpoint(Which::Last).is_ok() || ended.is_err());
    let learned = training.splits().learned().unwrap();
    let seen = Seen::of(training.config(), training.model().as_ref(), learned.as_ref(), &mut |_| ());
    if let Ok(Some(seen)) = seen {
        case = case.with(seen);
    }
    (case.examine(), case)
}

/// Settings of a healthy run, and more: the last word is that of `more`.
fn with(more: &str) -> String {
    let usual: toml::Table = "seed = 1
        data.split = { by = \"classes\", val = 15, test = 5 }
        model.embedding = 12
        batch.classes = 20
        optimizer.learning_rate = 0.01
        schedule.warm_up = 10
        training = { steps = 200, eval_every = 40, checkpoint_every = 0, tensor_board = false }
        evaluation.measure = \"cosine\""
        .parse()
        .unwrap();
    let mut whole = usual;
    join(&mut whole, more.parse().unwrap());
    whole.to_string()
}

fn join(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => join(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Examines a run on made vectors after a change of its rows.
fn planted(fault: Fault, made: Made, change: impl Fn(&mut Vec<([f32; WIDTH], u32)>), settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = made.rows();
    change(&mut rows);
    let (found, case) = examined(dir.path(), &rows, &with(settings));
    let named: Vec<Fault> = found.iter().map(|finding| finding.fault).collect();
    let Case { told, seen, .. } = &case;
    let (first, last) = (&told.steps[..5], told.steps.iter().rev().take(20).map(|step| step.loss).sum::<f64>() / 20.);
    assert!(
        named.contains(&fault),
        "{fault} is not among {named:?}: {first:?} {last} {seen:?} {:?} {:?}",
        told.scores,
        told.looks
    );
}

fn unchanged(_: &mut Vec<([f32; WIDTH], u32)>) {}

#[test]
fn a_loss_that_has_nothing_to_learn_is_named() {
    let labels_at_random = |rows: &mut Vec<([f32; WIDTH], u32)>| {
        let mut rng = Streams::new(12).open(Purpose::Synthesis, [0, 0]);
        for at in (1..rows.len()).rev() {
            let other = rng.random_range(0..=at);
            let label = rows[at].1;
            rows[at].1 = rows[other].1;
            rows[other].1 = label;
        }
    };
    planted(Fault::NothingLearned, USUAL, labels_at_random, "");
}

#[test]
fn embeddings_in_one_point_are_named() {
    // Inputs far from the origin, as pixels are that nobody normalized, and a rate at which no weight can take that away.
    let far = |rows: &mut Vec<([f32; WIDTH], u32)>| rows.iter_mut().for_each(|row| row.0 = row.0.map(|v| v + 1000.));
    planted(
        Fault::Collapse,
        USUAL,
        far,
        "optimizer.learning_rate = 1e-5\nmodel.output = \"unit-length\"\nloss.name = \"nt-xent\"",
    );
}

#[test]
fn embeddings_in_few_directions_are_named() {
    planted(Fault::FewDirections, USUAL, unchanged, "model = { hidden = [1], embedding = 24 }");
}

#[test]
fn a_rate_that_is_too_high_is_named() {
    planted(Fault::RateTooHigh, USUAL, unchanged, "optimizer.learning_rate = 3.0\nmodel.hidden = [64, 64]");
}

#[test]
fn a_rate_that_is_too_low_is_named() {
    planted(Fault::RateTooLow, USUAL, unchanged, "optimizer.learning_rate = 1e-6");
}

#[test]
fn a_miner_that_finds_nothing_is_named() {
    let settings = "loss = { name = \"triplet-margin\", margin = 0.2 }\nminer = { name = \"semi-hard\", margin = 1e-9 }\nbatch.per_class = 4";
    planted(Fault::NothingMined, USUAL, unchanged, settings);
}

#[test]
fn batches_that_are_too_easy_are_named() {
    let many = Made { classes: 600, each: 4, scatter: 0.2, scale: 1. };
    planted(
        Fault::BatchesTooEasy,
        many,
        unchanged,
        "batch.classes = 2\nmodel.embedding = 8\nnorm_penalty.weight = 0.0\ntraining = { steps = 1000, eval_every = 200 }",
    );
}

#[test]
fn a_memory_of_another_network_is_named() {
    let settings = "loss.name = \"multi-similarity\"\nmemory.size = 640\noptimizer.learning_rate = 0.3
        schedule = { name = \"constant\", warm_up = 0 }\nbatch.per_class = 2\ntraining.eval_every = 10";
    planted(Fault::MemoryTooOld, USUAL, unchanged, settings);
}

#[test]
fn learning_by_heart_is_named() {
    // Four in ten training labels are of another class: what all examples share is learned first, the wrong ones after that.
    let few = Made { classes: 80, each: 8, ..USUAL };
    let wrong = |rows: &mut Vec<([f32; WIDTH], u32)>| {
        let mut rng = Streams::new(14).open(Purpose::Synthesis, [0, 0]);
        for at in 0..rows.len() {
            if rng.random_range(0..10) < 4 {
                let other = rng.random_range(0..rows.len());
                let row = rows[at].0;
                rows[at].0 = rows[other].0;
                rows[other].0 = row;
            }
        }
    };
    let settings = "data.split = { by = \"classes\", val = 40, test = 2 }\nmodel = { hidden = [256], embedding = 32 }
        training = { steps = 600, eval_every = 20 }";
    planted(Fault::OverFitting, few, wrong, settings);
}

#[test]
fn norms_that_run_away_are_named() {
    planted(Fault::NormsRunAway, Made { scale: 60., ..USUAL }, unchanged, "norm_penalty.weight = 0.0");
}

#[test]
fn classes_of_which_nothing_is_found_are_named() {
    // Three classes whose examples are of anything.
    let mixed = |rows: &mut Vec<([f32; WIDTH], u32)>| {
        let mut rng = Streams::new(13).open(Purpose::Synthesis, [0, 0]);
        for at in 0..rows.len() {
            if (30..33).contains(&rows[at].1) {
                let other = rng.random_range(0..rows.len());
                rows[at].0 = rows[other].0.map(|v| v + 0.01);
            }
        }
    };
    planted(
        Fault::DeadClasses,
        Made { scatter: 0.15, ..USUAL },
        mixed,
        "data.split = { by = \"classes\", val = 5, test = 2 }",
    );
}

#[test]
fn wrong_labels_are_named() {
    let wrong = |rows: &mut Vec<([f32; WIDTH], u32)>| {
        let mut rng = Streams::new(15).open(Purpose::Synthesis, [0, 0]);
        for row in rows.iter_mut() {
            if rng.random_range(0..12) == 0 {
                row.1 = (row.1 + rng.random_range(1..60)) % 60;
            }
        }
    };
    planted(Fault::LabelNoise, Made { scatter: 0.15, ..USUAL }, wrong, "");
}

#[test]
fn pictures_on_two_sides_are_named() {
    let copied = |rows: &mut Vec<([f32; WIDTH], u32)>| {
        for at in 0..60 {
            rows[8 * at].0 = rows[8 * ((at + 1) % 60) + 1].0;
        }
    };
    planted(Fault::Leak, USUAL, copied, "");
}

#[test]
fn twenty_healthy_runs_have_no_fault() {
    let losses = [
        "",
        "loss.name = \"n-pair-mc-symmetric\"",
        "loss.name = \"n-pair-ovo\"",
        "loss.name = \"multi-similarity\"\nbatch.per_class = 4",
        "loss.name = \"nt-xent\"",
        "loss.name = \"sup-con\"\nbatch.per_class = 4",
        "loss.name = \"proxy-anchor\"\noptimizer.learning_rate = 0.05",
        "loss.name = \"arc-face\"",
        "loss.name = \"softmax\"",
        "loss.name = \"triplet\"",
        "loss.name = \"batch-all-triplet\"\nbatch.per_class = 4",
        "loss.name = \"circle\"\nbatch.per_class = 4",
        "loss.name = \"pairwise-contrastive\"\nbatch.per_class = 3",
        "loss.name = \"lifted-structure\"",
        "loss.name = \"multi-similarity\"\nmemory.size = 80\nmemory.start_step = 40",
        "optimizer = { name = \"sgd\", learning_rate = 0.01 }",
        "schedule.name = \"constant\"",
        "model.hidden = [32]",
        "model.output = \"unit-length\"\nloss.name = \"nt-xent\"",
        "training.steps = 60",
    ];
    assert_eq!(losses.len(), 20);
    let mut wrong = Vec::new();
    for settings in losses {
        let dir = tempfile::tempdir().unwrap();
        let (found, case) = examined(dir.path(), &USUAL.rows(), &with(settings));
        let faults: Vec<Finding> = found.into_iter().filter(|finding| finding.grade == Grade::Fault).collect();
        let last = case.told.scores.last().unwrap();
        // A run that learns nothing would be no healthy one.
        if last.value < 0.6 {
            wrong.push((settings, Vec::new()));
        }
        if !faults.is_empty() {
            wrong.push((settings, faults));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

//! Training that starts from other weights, with parts that rest or learn at another rate.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use npair_evaluate::{Predictor, TestTimeAugmentation, embed, judge};
use npair_recipe::{Config, Kind, Run, Training, Which};
use npair_train::Callback;
use npair_types::Streams;
use std::collections::BTreeMap;
use std::path::Path;

const SMALL: &str = r#"
    seed = 5
    [data.glyphs]
    classes = 20
    instances = 4
    size = 16
    [images]
    size = 16
    invert = true
    [model]
    width = 4
    blocks = 2
    embedding = 5
    [batch]
    classes = 5
    [training]
    steps = 3
    eval_every = 0
    checkpoint_every = 2
"#;

#[derive(Default)]
struct Notes(Vec<String>);

impl Callback for Notes {
    fn name(&self) -> &str {
        "notes"
    }
    fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

struct StopAtOnce;

impl Callback for StopAtOnce {
    fn name(&self) -> &str {
        "stopatonce"
    }
    fn stop(&mut self) -> bool {
        true
    }
}

fn config(text: &str, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Config::parse("test", text, &sets).unwrap()
}

fn trained(config: Config, folder: &Path) -> (Training, Vec<String>) {
    let mut notes = Notes::default();
    let mut trainer = Training::start(config, folder).unwrap();
    trainer.train(&mut notes).unwrap();
    (trainer, notes.0)
}

fn values(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<f32>> {
    tensors.into_iter().map(|(name, t)| (name, t.flatten_all().unwrap().to_vec1().unwrap())).collect()
}

fn said(config: Config, folder: &Path) -> String {
    let error = Training::start(config, folder).err().unwrap();
    assert!(!folder.exists(), "{error}");
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn a_run_starts_from_other_weights_and_resumes_without_them() {
    let dir = tempfile::tempdir().unwrap();
    trained(config(SMALL, &[]), &dir.path().join("first"));
    let weights = Run::open(&dir.path().join("first")).unwrap().checkpoint(Which::Last).unwrap();
    let pretrained = format!("model.pretrained={}", weights.display());
    let sets = [&*pretrained, "seed=6", "model.embedding=7"];

    let begun = Training::start(config(SMALL, &sets), &dir.path().join("second")).unwrap();
    let now = values(begun.model().tensors().unwrap());
    // It holds the run's lock.
    drop(begun);
    let from = candle_core::safetensors::load(weights.join("model.safetensors"), &candle_core::Device::Cpu);
    // A run that was stopped before its first checkpoint begins with them too.
    let again = Training::resume(&dir.path().join("second")).unwrap();
    assert_eq!(values(again.model().tensors().unwrap()), now);
    let from = values(from.unwrap().into_iter().collect());
    let backbone: Vec<&String> = now.keys().filter(|name| name.starts_with("backbone.")).collect();
    assert_eq!(backbone.len(), 2 * 5);
    backbone.into_iter().for_each(|name| assert_eq!(now[name], from[name], "{name}"));
    assert_ne!(now["head.weight"].len(), from["head.weight"].len());

    let long = [&sets[..], &["training.steps=12"]].concat();
    let (whole, notes) = trained(config(SMALL, &long), &dir.path().join("whole"));
    let want = "10 tensors matched, 0 missing, 0 unexpected, 2 ignored (head.bias";
    assert!(notes.iter().any(|n| n.contains(want)), "{notes:?}");
    // Stopped and resumed: the weights are not asked for again, and the end is the same.
    let folder = dir.path().join("stopped");
    let outcome = Training::start(config(SMALL, &long), &folder).unwrap().train(&mut StopAtOnce).unwrap();
    assert!(outcome.step < 12, "{outcome:?}");
    std::fs::remove_dir_all(dir.path().join("first")).unwrap();
    let mut resumed = Training::resume(&folder).unwrap();
    resumed.train(&mut Notes::default()).unwrap();
    let end = |trainer: &Training| values(trainer.model().tensors().unwrap());
    assert_eq!(end(&resumed), end(&whole));
    // A new run does ask, and says what is missing.
    assert!(said(config(SMALL, &sets), &dir.path().join("fifth")).contains("checkpoints/last"));
}

#[test]
fn pictures_are_made_as_the_weights_say() {
    let dir = tempfile::tempdir().unwrap();
    trained(config(SMALL, &["images.mean=[0.25]"]), &dir.path().join("first"));
    let weights = Run::open(&dir.path().join("first")).unwrap().checkpoint(Which::Last).unwrap();
    let pretrained = format!("model.pretrained={}", weights.display());
    let open = SMALL.replace("[images]\n    size = 16\n    invert = true", "");
    let (second, _) = trained(config(&open, &[&pretrained]), &dir.path().join("second"));
    assert_eq!((second.config().images().size, &second.config().images().mean[..]), (16.into(), &[0.25][..]));
    // What the configuration says counts, and the difference is told.
    let (_, notes) = trained(config(SMALL, &[&pretrained]), &dir.path().join("third"));
    assert!(notes.iter().any(|n| n.contains("[images] has mean [0.0]") && n.contains("with [0.25]")), "{notes:?}");
}

#[test]
fn what_is_frozen_rests_and_groups_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let sets = [
        "model.freeze=[\"backbone.block1\"]",
        "optimizer.group=[{prefix=\"head\",lr_scale=10.0}]",
        "optimizer.learning_rate=0.001",
        "loss.name=proxy-nca",
    ];
    let before = Training::start(config(SMALL, &sets), &dir.path().join("start")).unwrap();
    let before = values(before.model().tensors().unwrap());
    let (trainer, notes) = trained(config(SMALL, &sets), &dir.path().join("run"));
    for (name, after) in values(trainer.model().tensors().unwrap()) {
        // Running statistics are no variables: they follow the batches.
        let rests = name.starts_with("backbone.block1.") && !name.contains("running");
        assert_eq!(before[&name] == after, rests, "{name}");
    }
    for want in ["44 values frozen, in backbone.block1", "learning rate 0.01", "in loss.proxies: learning rate 0.001"] {
        assert!(notes.iter().any(|n| n.contains(want)), "{want}: {notes:?}");
    }
}

#[test]
fn a_part_that_nothing_reaches_ends_the_run_by_name() {
    let dir = tempfile::tempdir().unwrap();
    // With all features dropped only the head's bias learns.
    let sets = ["model.dropout=0.999999", "loss.name=softmax"];
    let mut trainer = Training::start(config(SMALL, &sets), &dir.path().join("run")).unwrap();
    let error = trainer.train(&mut Notes::default()).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Runtime);
    for want in ["step 1", "backbone.block1.conv.weight (zero)", "head.weight (zero)", "training.allow_dead"] {
        assert!(text.contains(want), "{text}");
    }
    assert!(!text.contains("head.bias"), "{text}");
    let excused = [&sets[..], &["training.allow_dead=[\"backbone\",\"head\",\"loss\"]"]].concat();
    trained(config(SMALL, &excused), &dir.path().join("excused"));
}

#[test]
fn prefixes_and_networks_that_do_not_fit_leave_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let of = |sets: &[&str]| said(config(SMALL, sets), &folder);
    assert!(of(&["model.freeze=[\"backbone.block\"]"]).contains("model.freeze: `backbone.block` begins no name"));
    assert!(of(&["model.freeze=[\"backbone\",\"head\"]"]).contains("freezes everything"));
    assert!(of(&["training.allow_dead=[\"x\"]"]).contains("training.allow_dead"));
    assert!(of(&["optimizer.group=[{prefix=\"hed\"}]"]).contains("the names begin with backbone, head"));
    assert!(of(&["model.pretrained=hub:a/b/c"]).contains("write hub:OWNER/NAME"));
    assert!(of(&["model.pretrained=nowhere.pth"]).contains("nowhere.pth"));
    let other = "model.backbone={architecture=\"conv-net\",size=20,blocks=2,width=4}";
    assert!(of(&[other]).contains("images.size: is 16, but the network takes 20"));
    // The named network is the one that is built.
    let named = "model.backbone={architecture=\"conv-net\",size=16,blocks=3,width=3}";
    let trainer = Training::start(config(SMALL, &[named]), &folder).unwrap();
    let head = trainer.model().tensors().unwrap()["head.weight"].dims().to_vec();
    assert_eq!(head[1], 3 * 2 * 2);
}

/// Weights of a short run, as `model.pretrained` names them.
fn weights_of_a_run(dir: &Path) -> String {
    trained(config(SMALL, &[]), &dir.join("first"));
    let weights = Run::open(&dir.join("first")).unwrap().checkpoint(Which::Last).unwrap();
    format!("model.pretrained={}", weights.display())
}

#[test]
fn a_frozen_backbone_keeps_its_bits_and_the_head_learns_on_its_features() {
    let dir = tempfile::tempdir().unwrap();
    let pretrained = weights_of_a_run(dir.path());
    let sets = [&*pretrained, "seed=6", "model.frozen=true", "model.frozen_views=2", "training.eval_every=2"];
    let (mut told, folder) = (Vec::new(), dir.path().join("frozen"));
    let mut training =
        Training::start_telling(config(SMALL, &sets).into(), &folder, &mut |n, all| told.push((n, all))).unwrap();
    let before = values(training.model().tensors().unwrap());
    training.train(&mut Notes::default()).unwrap();
    let after = values(training.model().tensors().unwrap());
    for (name, was) in &before {
        assert_eq!(was == &after[name], name.starts_with("backbone."), "{name}");
    }
    // Training pictures in three views, validation pictures in one.
    let (train, val) = (training.splits().learned().unwrap().len(), training.splits().val.as_ref().unwrap().len());
    assert_eq!(told.last(), Some(&(3 * train + val, 3 * train + val)));
    // What is saved takes pictures, and is judged as the validation judged it.
    let predictor =
        Predictor::open(&Device::Cpu, &Run::open(&folder).unwrap().checkpoint(Which::Last).unwrap()).unwrap();
    let val = training.splits().val.clone().unwrap();
    let rows = embed(predictor.model.as_ref(), val.as_ref(), TestTimeAugmentation::none(), &mut |_| ()).unwrap();
    let scores = judge("val", &rows.labeled().unwrap(), &training.config().evaluation, 5, Streams::new(6), &mut |_| ());
    let journal = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let last = journal.lines().rfind(|line| line.contains("\"evaluation\"")).unwrap();
    let said: serde_json::Value = serde_json::from_str(last).unwrap();
    let recall = said["scores"]["scores"].as_array().unwrap().iter().find(|s| s["name"] == "recall@1").unwrap();
    assert_eq!(recall["value"].as_f64(), scores.unwrap().get("recall@1"));
}

#[test]
fn a_run_on_features_resumes_to_the_same_bits_with_or_without_the_kept_ones() {
    let dir = tempfile::tempdir().unwrap();
    let pretrained = weights_of_a_run(dir.path());
    let sets = [&*pretrained, "model.frozen=true", "model.frozen_views=1", "training.steps=12"];
    let (whole, _) = trained(config(SMALL, &sets), &dir.path().join("whole"));
    for kept in [true, false] {
        let folder = dir.path().join(format!("stopped-{kept}"));
        let outcome = Training::start(config(SMALL, &sets), &folder).unwrap().train(&mut StopAtOnce).unwrap();
        assert!(outcome.step < 12, "{outcome:?}");
        if !kept {
            std::fs::remove_file(folder.join("features.safetensors")).unwrap();
        }
        let mut computed = 0;
        let mut resumed = Training::resume_telling(None, &folder, &mut |n, _| computed = n).unwrap();
        assert_eq!(computed == 0, kept);
        resumed.train(&mut Notes::default()).unwrap();
        assert_eq!(values(resumed.model().tensors().unwrap()), values(whole.model().tensors().unwrap()));
    }
}

#[test]
fn a_frozen_backbone_that_makes_no_sense_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let pretrained = weights_of_a_run(dir.path());
    let of = |sets: &[&str]| said(config(SMALL, sets), &dir.path().join("run"));
    assert!(of(&["model.frozen=true"]).contains("give its weights, model.pretrained=FILE"));
    assert!(of(&["model.frozen_views=2"]).contains("set model.frozen=true"));
    assert!(of(&[&pretrained, "model.frozen=true", "model.freeze=[\"backbone\"]"]).contains("leave one out"));
    // What does not fit is said before features are computed.
    let sets = [&*pretrained, "model.frozen=true", "batch.classes=500"];
    let mut computed = 0;
    let run = dir.path().join("run");
    let error = Training::start_telling(config(SMALL, &sets).into(), &run, &mut |n, _| computed = n).err().unwrap();
    assert!(error.to_string().contains("500 classes") && computed == 0 && !run.exists(), "{error}");
}

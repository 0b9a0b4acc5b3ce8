//! What cannot work is said before work begins, in a line that names the key; what can is not refused.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, npair, ok, picture, pictures};
use std::path::Path;

const QUICK: [&str; 10] = [
    "--set",
    "images.size=16",
    "--set",
    "model.width=4",
    "--set",
    "model.blocks=2",
    "--set",
    "model.embedding=6",
    "--set",
    "training.steps=4",
];

fn refused(dir: &Path, data: &str, sets: &[&str], want: &[&str]) {
    let mut args = vec!["train", "--data", data, "--out", "none"];
    args.extend(QUICK);
    for set in sets {
        args.extend(["--set", set]);
    }
    let text = fails(&args, dir, 2);
    want.iter().for_each(|want| assert!(text.contains(want), "{sets:?}: {want}: {text}"));
    assert!(!dir.join("none").exists(), "{sets:?}: {text}");
}

#[test]
fn train_eval_and_embed_work_on_any_number_of_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    (0..6).for_each(|i| picture(&dir.join(format!("new/k{}/{}.png", i / 2, i % 2)), 700 + i / 2, i % 2));
    for (classes, each) in [(2, 2), (2, 50), (3, 5), (5, 2), (5, 10), (12, 3), (20, 4), (40, 2), (100, 3), (2000, 2)] {
        let (data, run) = (format!("d-{classes}-{each}"), format!("r-{classes}-{each}"));
        pictures(&dir.join(&data), classes, each);
        ok(&[&["train", "--data", &data, "--out", &run][..], &QUICK].concat(), dir);
        ok(&["eval", &run], dir);
        ok(&["embed", &run, "--data", "new", "--out", &format!("{run}.npy")], dir);
        // Pictures of a kind that it has not seen, whatever they lie in.
        let table = ok(&["eval", &run, "--data", "new"], dir);
        assert!(table.contains("6 examples, 3 classes"), "{table}");
    }
}

#[test]
fn nested_and_grey_folders_work_as_others_and_a_flat_one_says_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (class, number) in (0..8).flat_map(|class| (0..6).map(move |number| (class, number))) {
        picture(&dir.join(format!("nested/c{class}/day{}/{number}.png", number % 2)), class, number);
        let colour = dir.join(format!("nested/c{class}/day{}/{number}.png", number % 2));
        let grey = dir.join(format!("grey/c{class}/{number}.png"));
        std::fs::create_dir_all(grey.parent().unwrap()).unwrap();
        image::open(colour).unwrap().to_luma8().save(grey).unwrap();
        picture(&dir.join(format!("flat/{class}-{number}.png")), class, number);
    }
    for data in ["nested", "grey"] {
        ok(&[&["train", "--data", data, "--out", &format!("run-{data}")][..], &QUICK].concat(), dir);
        assert!(ok(&["eval", &format!("run-{data}")], dir).contains("2 classes"));
        ok(&["embed", &format!("run-{data}"), "--data", "flat", "--out", &format!("{data}.npy")], dir);
    }
    let text = fails(&[&["train", "--data", "flat", "--out", "none"][..], &QUICK].concat(), dir, 3);
    assert!(text.contains("flat") && text.contains("class"), "{text}");
}

#[test]
fn settings_that_cannot_work_are_refused_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    // What cannot be judged.
    refused(dir, "data", &["evaluation.recall_at=[0]"], &["evaluation.recall_at: is 0"]);
    refused(dir, "data", &["tta.views=0"], &["tta.views: is 0, but has to be from 1"]);
    refused(dir, "data", &["data.split={by=\"instances\",val=1}", "training.eval_every=2"], &["validation on"]);
    // What cannot be trained.
    refused(dir, "data", &["model.dropout=1.0"], &["model.dropout: is 1"]);
    refused(dir, "data", &["loss.name=nt-xent", "batch.per_class=1"], &["loss", "sampler"]);
    refused(dir, "data", &["batch.classes=25"], &["25 classes"]);
    refused(
        dir,
        "data",
        &["model.backbone={architecture=\"conv-net\",size=20,channels=3}"],
        &["images.size", "model.backbone.size", "20"],
    );
    refused(dir, "data", &["optimizer.learning_rate=-1"], &["optimizer.learning_rate: is -1"]);
    // Nothing can form a pair.
    pictures(&dir.join("single"), 10, 1);
    let text = fails(&["train", "--data", "single", "--out", "none"], dir, 3);
    assert!(text.contains("2 classes with at least 2 examples each, the data has 0"), "{text}");
    // A digit too many.
    refused(
        dir,
        "data",
        &["model.embedding=100000000"],
        &["model.embedding: is 100000000, but has to be from 1 to 65536"],
    );
    refused(dir, "data", &["model.width=40000"], &["model.width"]);
    refused(dir, "data", &["model.width=4096", "model.blocks=12", "images.size=4096"], &["GiB"]);
    refused(dir, "data", &["optimizer.accumulate=100000000"], &["optimizer.accumulate: is 100000000"]);
    refused(dir, "data", &["images.size=100000"], &["images.size"]);
    refused(dir, "data", &["seed=9223372036854775808"], &["seed"]);
    let args = ["train", "--data", "data", "--out", "none", "--seed", "9223372036854775808"];
    assert!(fails(&args, dir, 2).contains("seed: is 9223372036854775808"));
    let text = String::from_utf8(npair(&["eval", "x", "--threads", "10000"], dir).stderr).unwrap();
    assert!(text.contains("--threads") && text.contains("1024"), "{text}");
}

#[test]
fn a_wrong_key_is_answered_with_its_own_section() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    refused(dir, "data", &["optimizer.lr=1"], &["unknown key `lr` in [optimizer]"]);
    refused(dir, "data", &["training.step=1"], &["unknown key `step` in [training]; did you mean `steps`?"]);
    refused(
        dir,
        "data",
        &["loss.name=triplet-margn"],
        &["unknown value `triplet-margn` in [loss]; did you mean `triplet-margin`?"],
    );
    refused(dir, "data", &["loss.margin=0.5"], &["unknown key `margin` in [loss]"]);
    refused(dir, "data", &["images.size=16", "memory.size=-1"], &["--set memory.size=-1: "]);
    refused(dir, "data", &["training.eval_every=2", "training.eval_every=-1"], &["--set training.eval_every=-1: "]);
    refused(dir, "data", &["optimizer.epsilon=-1"], &["has to be a finite number above 0"]);
    refused(dir, "data", &["batch.classes=many"], &["--set batch.classes=many: ", "invalid type"]);
    // An amount alone leaves the rest of the split as it is.
    let run = [&["train", "--data", "data", "--out", "run", "--set", "data.split.val=2"][..], &QUICK].concat();
    ok(&run, dir);
    let settings = std::fs::read_to_string(dir.join("run/config.toml")).unwrap();
    assert!(settings.contains("by = \"classes\"") && settings.contains("val = 2"), "{settings}");
}

#[test]
fn options_without_effect_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 20, 4);
    ok(&[&["train", "--data", "data", "--out", "run"][..], &QUICK].concat(), dir);
    ok(&["embed", "run", "--out", "x.npy"], dir);
    for (args, want) in [
        (&["eval", "run", "--labels", "x.labels.npy"][..], "--labels: goes with --embeddings"),
        (&["eval", "--embeddings", "x.npy", "--labels", "x.labels.npy", "--split", "test"], "--split: goes with a run"),
        (&["eval", "--embeddings", "x.npy", "--labels", "x.labels.npy", "--data", "data"], "--data: goes with a run"),
        (&["eval", "run", "--grid", "x.jpg"], "end its name in .png"),
        (&["eval", "run", "--set", "model.width=64"], "model.width has no effect here"),
        (&["embed", "run", "--out", "y.npy", "--set", "images.size=32"], "images.size has no effect here"),
    ] {
        let out = npair(args, dir);
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(2) && text.contains(want), "{args:?}: {text}");
    }
}

#[test]
fn settings_without_effect_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 20, 4);
    for (sets, want) in [
        (&["optimizer.momentum=0.5"][..], "optimizer.momentum: has no effect here: it goes with optimizer.name"),
        (&["schedule.milestones=[2]"], "schedule.milestones: has no effect here"),
        (&["memory.start_step=3"], "memory.start_step: has no effect here: it goes with memory.size"),
        (&["model.hidden=[8]"], "model.hidden: has no effect here: it goes with vectors"),
        (&["schedule.warm_up=50"], "schedule.warm_up: is 50, but the run has 4 steps"),
        (&["norm_penalty.weight=1e300"], "norm_penalty.weight: is 1e300"),
        (&["images.std=[0]"], "images.std: 0 is not possible"),
        (&["loss.name=triplet-margin", "loss.margin=-1"], "loss.margin: is -1"),
    ] {
        refused(dir, "data", sets, &[want]);
    }
    let text = fails(&["eval", "--embeddings", "x.npy", "--labels", "y.npy", "--device", "cpu"], dir, 2);
    assert!(text.contains("--device: has no effect"), "{text}");
    let text = fails(&["data", "check", "data", "--device", "cpu"], dir, 2);
    assert!(text.contains("--device: has no effect"), "{text}");
    let both = ["eval", "x", "--measure", "dot", "--set", "evaluation.measure=cosine"];
    assert!(fails(&both, dir, 2).contains("--measure: and --set evaluation.measure say the same"));
}

#[test]
fn a_run_that_learned_nothing_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = ok(
        &["train", "--data", "glyphs", "--out", "run", "--set", "data.glyphs.classes=30", "--set", "training.steps=12"]
            .iter()
            .chain(&["--set", "optimizer.learning_rate=0", "--set", "model.width=4", "--set", "batch.classes=10"])
            .copied()
            .collect::<Vec<_>>(),
        dir,
    );
    assert!(said.contains("warning: after 12 steps the loss is"), "{said}");
    assert!(said.contains("optimizer.learning_rate"), "{said}");
    let said = ok(
        &["train", "--no-plan", "--data", "glyphs", "--out", "pairs", "--set", "data.glyphs.classes=30"]
            .iter()
            .chain(&["--set", "optimizer.learning_rate=0", "--set", "model.width=4", "--set", "batch.classes=10"])
            .chain(&["--set", "training.steps=12"])
            .copied()
            .collect::<Vec<_>>(),
        dir,
    );
    assert!(said.contains("where embeddings that are all alike have 2.303: nothing is learned"), "{said}");
}

#[test]
fn a_list_of_paths_on_standard_input_is_embedded() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 20, 4);
    ok(&[&["train", "--data", "data", "--out", "run"][..], &QUICK].concat(), dir);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_npair"));
    command.args(["embed", "run", "--data", "-", "--out", "x.npy"]).current_dir(dir);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"data/c000/p00.png\ndata/c007/p01.png\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("2 embeddings"));
    assert!(std::fs::read_to_string(dir.join("x.csv")).unwrap().contains("data/c007/p01.png"));
}

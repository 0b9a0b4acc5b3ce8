//! Vectors of any origin, from the command: trained on, judged, embedded, resumed.
#![allow(clippy::unwrap_used)]

mod program;

use npair_evaluate::{Vectors, read_labels};
use npair_types::Labels;
use program::ok;
use std::path::Path;

/// Forty classes of five rows; a class shows in the first four columns, the other 12 are louder.
fn write(dir: &Path) {
    let values = (0..200 * 16).map(|at| {
        let (row, column) = (at / 16, at % 16);
        let noise = ((at * 7919 + 13) % 1009) as f32 / 1009. - 0.5;
        let class = ((row / 5 * 37 + column * 11) % 41) as f32 / 41.;
        if column < 4 { class + 0.05 * noise } else { 2. * noise }
    });
    let labels = Some(Labels::new((0..200u32).map(|row| row / 5)).unwrap());
    let (names, classes) = (Vec::new(), Vec::new());
    Vectors { values: values.collect(), width: 16, labels, names, classes }.write(&dir.join("x.npy")).unwrap();
}

const SETS: [&str; 8] = [
    "--set",
    "batch.classes=20",
    "--set",
    "training.steps=120",
    "--set",
    "model.hidden=[32]",
    "--set",
    "optimizer.learning_rate=0.01",
];

#[test]
fn vectors_are_learned_from_judged_and_embedded() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir);
    let data = "vectors=x.npy,labels=x.labels.npy";
    let said = ok(&[&["train", "--data", data, "--out", "run"][..], &SETS].concat(), dir);
    assert!(said.contains("28 classes, 40 a step"), "{said}");
    let recall = |args: &[&str]| {
        let scores: serde_json::Value = serde_json::from_str(&ok(args, dir)).unwrap();
        let all = scores["scores"].as_array().unwrap().clone();
        all.iter().find(|score| score["name"] == "recall@1").unwrap()["value"].as_f64().unwrap()
    };
    // Of the raw rows the loud columns hide the class.
    let raw = recall(&["eval", "--embeddings", "x.npy", "--labels", "x.labels.npy", "--json"]);
    let learned = recall(&["eval", "run", "--json"]);
    assert!(learned > raw + 0.2, "{learned} after training, {raw} before");
    ok(&["embed", "run", "--out", "e.npy"], dir);
    assert_eq!(Vectors::read(&dir.join("e.npy")).unwrap().width, 64);
    assert_eq!(read_labels(&dir.join("e.labels.npy")).unwrap().len(), 200);
}

#[test]
fn what_does_not_fit_vectors_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir);
    let fails = |args: &[&str], code| program::fails(args, dir, code);
    let train = ["train", "--data", "vectors=x.npy,labels=x.labels.npy", "--out", "run"];
    assert!(fails(&["train", "--data", "vectors=x.npy", "--out", "run"], 2).contains("labels=FILE"));
    assert!(fails(&["train", "--data", "vectors=,labels=y", "--out", "run"], 2).contains("vectors=FILE,labels=FILE"));
    assert!(fails(&[&train[..], &["--set", "data.rotations=true"]].concat(), 2).contains("these are vectors"));
    assert!(fails(&[&train[..], &["--set", "model.hidden=[0]"]].concat(), 2).contains("hidden"));
    assert!(!dir.join("run").exists());
    ok(&[&train[..], &SETS, &["--set", "training.steps=2"]].concat(), dir);
    assert!(fails(&["eval", "run", "--data", "glyphs"], 2).contains("the model takes vectors"));
    assert!(fails(&["eval", "run", "--grid", "g.png"], 2).contains("no pictures"));
}

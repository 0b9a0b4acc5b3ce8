//! The memory of a large batch in pieces is that of a piece and the embeddings.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use npair_recipe::{Config, Training};
use npair_train::{Callback, Moment, StepReport};
use std::process::Command;

const CASE: &str = "NPAIR_TEST_BATCH_AND_PIECE";

struct Finite;

impl Callback for Finite {
    fn name(&self) -> &str {
        "finite"
    }
    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        assert!(report.loss.is_finite() && report.grad_norm > 0.);
        Ok(())
    }
}

/// Two steps of training; then what the process held at most, in KiB.
#[test]
#[ignore = "a process of its own, which the test below starts"]
fn child() {
    let case = std::env::var(CASE).unwrap();
    let (batch, piece) = case.split_once(' ').unwrap();
    let pairs = batch.parse::<usize>().unwrap() / 2;
    let sets = [
        "data.glyphs.classes=2200",
        "data.glyphs.instances=2",
        "data.cache_mib=0",
        "data.split.by=classes",
        "data.split.val=4",
        "data.split.test=4",
        "model.width=64",
        "model.blocks=2",
        "model.embedding=32",
        "training.steps=2",
        "training.eval_every=0",
        &format!("batch.classes={pairs}"),
        &format!("training.grad_cache={piece}"),
    ];
    let config = Config::parse("test", "", &sets.map(str::to_owned)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Training::start(config, &folder.path().join("run")).unwrap().train(&mut Finite).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    println!("peak {}", line.split_whitespace().nth(1).unwrap());
}

/// MiB that a process held at most.
fn peak(batch: usize, piece: usize) -> f64 {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CASE, format!("{batch} {piece}"))
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    let number = text.split_once("peak ").unwrap().1.split_whitespace().next().unwrap();
    number.parse::<f64>().unwrap() / 1024.
}

#[test]
fn four_thousand_pictures_in_pieces_of_64_take_the_memory_of_64() {
    let [small, pieces, whole] = [(64, 0), (4096, 64), (512, 0)].map(|(batch, piece)| peak(batch, piece));
    println!("64: {small:.1} MiB; 4096 in pieces of 64: {pieces:.1} MiB; 512 at once: {whole:.1} MiB");
    // 4,096 embeddings of 32 numbers are half a MiB, and there are some of them: gradients, anchors, positives. While the loss
    // works on its part of the matrix there is no tape. The rest is what an allocator leaves between its blocks.
    assert!(pieces - small < 12., "{pieces} MiB instead of {small}");
    // So the test would have seen a batch that is held.
    assert!(whole - small > 200., "{whole} MiB of 512 at once, {small} of 64");
}

//! Embeddings of many pictures: stopped, gone on with, and refused where they are of something else.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, npair, ok, pictures};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CLASSES: u32 = 20;
/// Two pictures of a class, and 64 parts of each.
const OF_A_CLASS: u32 = 2 * 64;

/// A run that has learned next to nothing, and a table of parts of small pictures.
fn prepare(dir: &Path) {
    let sets = ["data.glyphs.classes=20", "data.glyphs.instances=5", "model.width=4", "model.embedding=6"];
    let sets: Vec<&str> =
        sets.iter().chain(&["batch.classes=4", "training.steps=2"]).flat_map(|set| ["--set", set]).collect();
    ok(&[&["train", "--no-plan", "--data", "glyphs", "--out", "run"], &sets[..]].concat(), dir);
    pictures(&dir.join("data"), CLASSES, 2);
    let mut table = "label,path,x_1,x_2,y_1,y_2\n".to_owned();
    for at in 0..CLASSES * OF_A_CLASS {
        let (class, picture, x, y) = (at / OF_A_CLASS, at / 64 % 2, at % 8, at / 8 % 8);
        let path = format!("data/c{class:03}/p{picture:02}.png");
        writeln!(table, "{class},{path},{x},{},{y},{}", x + 8, y + 8).unwrap();
    }
    std::fs::write(dir.join("table.csv"), table).unwrap();
}

fn embed<'a>(out: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    [&["embed", "run", "--data", "csv=table.csv", "--out", out], extra].concat()
}

/// The three files of an output, which have no others beside them.
fn files(name: &str, dir: &Path) -> [Vec<u8>; 3] {
    assert!(!dir.join(format!("{name}.npy.part")).exists() && !dir.join(format!("{name}.npy.part.log")).exists());
    ["npy", "labels.npy", "csv"].map(|ending| std::fs::read(dir.join(format!("{name}.{ending}"))).unwrap())
}

/// What is said on standard error by a command that succeeds.
fn notes(args: &[&str], dir: &Path) -> String {
    let out = npair(args, dir);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{args:?}: {said}");
    said
}

#[test]
fn a_picture_that_cannot_be_read_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let said = ok(&embed("whole.npy", &[]), dir);
    assert_eq!(said, "2560 embeddings of width 6 in whole.npy, whole.labels.npy, whole.csv\n");
    let bad = dir.join("data/c019/p00.png");
    let good = std::fs::read(&bad).unwrap();
    std::fs::write(&bad, "no picture").unwrap();
    assert!(fails(&embed("x.npy", &[]), dir, 3).contains("p00.png"));
    assert!(!dir.join("x.npy").exists());
    // Of something else it is not taken for.
    let other = ["embed", "run", "--data", "data/c000", "--out", "x.npy"];
    let said = fails(&other, dir, 3);
    assert!(said.contains("x.npy.part: holds a part of the embeddings of other examples"), "{said}");
    assert!(said.contains("--force"), "{said}");
    std::fs::write(&bad, good).unwrap();
    let said = notes(&embed("x.npy", &[]), dir);
    assert_eq!(said, "note: goes on behind 2400 of 2560 embeddings that are in x.npy.part\n");
    assert!(files("x", dir) == files("whole", dir), "the files differ");

    std::fs::write(&bad, "no picture").unwrap();
    fails(&embed("y.npy", &[]), dir, 3);
    let said = notes(&["embed", "run", "--data", "data/c000", "--out", "y.npy", "--force"], dir);
    assert_eq!(said, "note: begins anew: y.npy.part held a part of the embeddings of other examples\n");
    assert_eq!(files("y", dir)[2].split(|&byte| byte == b'\n').count(), 1 + 2 + 1);
}

#[test]
fn whoever_is_killed_goes_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let views = ["--set", "tta.views=5", "--set", "tta.rotations=4"];
    ok(&embed("whole.npy", &views), dir);
    for chunks in [1, 4, 9] {
        let log = dir.join("x.npy.part.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_npair"));
        let mut child = command
            .args(embed("x.npy", &views))
            .current_dir(dir)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Its first line says what the rows are of.
        let there = || std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() > chunks);
        while !there() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was faster than the kill");
    }
    let said = notes(&embed("x.npy", &views), dir);
    assert!(said.starts_with("note: goes on behind ") && said.lines().count() == 1, "{said}");
    assert!(files("x", dir) == files("whole", dir), "the files differ");
}

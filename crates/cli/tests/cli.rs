//! What the command does with good and bad input: output, exit codes, one-line errors with the cure.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, npair, ok};
use std::path::Path;
use std::process::Command;

const TINY: [&str; 18] = [
    "--set",
    "data.glyphs.classes=20",
    "--set",
    "data.glyphs.instances=5",
    "--set",
    "model.width=4",
    "--set",
    "model.embedding=6",
    "--set",
    "batch.classes=4",
    "--set",
    "training.steps=4",
    "--set",
    "training.eval_every=2",
    "--set",
    "training.checkpoint_every=2",
    "--set",
    "data.seen=2",
];

fn train(dir: &Path, extra: &[&str]) -> String {
    let args: Vec<&str> =
        ["train", "--no-plan", "--data", "glyphs", "--out", "run"].iter().chain(&TINY).chain(extra).copied().collect();
    ok(&args, dir)
}

#[test]
fn devices_are_named_and_missing_ones_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    train(dir, &["--device", "cpu"]);
    let settings = std::fs::read_to_string(dir.join("run/config.toml")).unwrap();
    assert!(settings.contains("device = \"cpu\""), "{settings}");
    ok(&["eval", "run", "--device", "cpu", "--json"], dir);
    let out = npair(&["eval", "run", "--device", "gpu"], dir);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("`gpu` is no device; known are cpu, cuda"), "{text}");
    let text = fails(&["train", "--out", "x", "--set", "device=gpu"], dir, 2);
    assert!(text.contains("`gpu` is no device"), "{text}");
    // Builds of the tests have neither; with one, the driver may be missing or not.
    for (device, feature) in [("cuda", "cuda"), ("cuda:1", "cuda"), ("metal", "metal")] {
        let commands: [&[&str]; 4] = [
            &["train", "--data", "glyphs", "--out", "none"],
            &["train", "--resume", "run"],
            &["eval", "run"],
            &["embed", "run", "--out", "e.npy"],
        ];
        for command in commands {
            let text = fails(&[command, &["--device", device]].concat(), dir, 4);
            assert!(text.starts_with(&format!("error: {device}: this build has no")), "{text}");
            assert!(text.contains(&format!("cargo build --release --features {feature}")), "{text}");
        }
    }
    assert!(!dir.join("none").exists());
    let help = ok(&["train", "--help"], dir);
    assert!(
        help.contains("--device <DEVICE>") && help.contains("npair train --data photos/ --out runs/gpu --device cuda")
    );
}

#[test]
fn a_run_is_trained_judged_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = train(dir, &["--seed", "3"]);
    let settings = std::fs::read_to_string(dir.join("run/config.toml")).unwrap();
    assert!(settings.contains("seed = 3") && settings.contains("steps = 4"), "{settings}");
    assert!(said.contains("npair eval run"), "{said}");
    for file in ["config.toml", "metrics.jsonl", "checkpoints/last/model.safetensors", "checkpoints/best/config.json"] {
        assert!(dir.join("run").join(file).is_file(), "{file}");
    }
    let table = ok(&["eval", "run", "--grid", "grid.png"], dir);
    for name in ["recall@1", "R-precision", "MAP@R", "VRF(1)", "NMI", "F1", "EER"] {
        assert!(table.contains(name), "{table}");
    }
    assert_eq!(std::fs::read(dir.join("grid.png")).unwrap()[..4], *b"\x89PNG");
    let json: serde_json::Value =
        serde_json::from_str(&ok(&["eval", "run", "--split", "seen", "--json"], dir)).unwrap();
    assert_eq!(json["scores"][0]["name"], "recognition");
    // Embeddings written and judged as any model's would be: the same scores.
    for file in ["e.npy", "f.safetensors"] {
        ok(&["embed", "run", "--split", "test", "--out", file], dir);
        let mut args = vec!["eval", "--embeddings", file, "--json", "--set", "batch.classes=4", "--set", "seed=3"];
        if file.ends_with("npy") {
            args.extend(["--labels", "e.labels.npy"]);
        }
        let of = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["scores"].clone();
        assert_eq!(of(ok(&args, dir)), of(ok(&["eval", "run", "--json"], dir)));
    }
    // A finished run resumed has nothing to do and stays as it is.
    let before = std::fs::read(dir.join("run/checkpoints/last/model.safetensors")).unwrap();
    ok(&["train", "--resume", "run"], dir);
    assert_eq!(std::fs::read(dir.join("run/checkpoints/last/model.safetensors")).unwrap(), before);
}

#[test]
fn the_same_on_one_and_two_threads() {
    let dir = tempfile::tempdir().unwrap();
    let weights = |threads: &str| {
        let dir = dir.path().join(threads);
        std::fs::create_dir(&dir).unwrap();
        train(&dir, &["--threads", threads]);
        std::fs::read(dir.join("run/checkpoints/last/model.safetensors")).unwrap()
    };
    assert_eq!(weights("1"), weights("2"));
}

fn picture(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let grey = npair_data::Picture::new(8, 8, 1, vec![120u8; 64]).unwrap();
    std::fs::write(path, npair_data::sheet::encode_png(&grey).unwrap()).unwrap();
}

#[test]
fn bad_pictures_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("empty")).unwrap();
    assert!(fails(&["train", "--data", "empty", "--out", "r"], dir, 3).contains("empty"));
    assert!(fails(&["train", "--data", "nowhere", "--out", "r"], dir, 3).contains("nowhere"));
    for i in 0..4 {
        picture(&dir.join(format!("one/cat/{i}.png")));
    }
    assert!(fails(&["train", "--data", "one", "--out", "r"], dir, 3).contains("one"));
    for class in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"] {
        for i in 0..3 {
            picture(&dir.join(format!("photos/{class}/{i}.png")));
        }
    }
    ok(&["data", "check", "photos", "--grid", "look.png"], dir);
    // A truncated and an unreadable file, a lie about the size.
    let whole = std::fs::read(dir.join("photos/a/0.png")).unwrap();
    std::fs::write(dir.join("photos/a/0.png"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(dir.join("photos/b/1.png"), b"no picture").unwrap();
    let mut huge = whole;
    huge[16..20].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    std::fs::write(dir.join("photos/c/2.png"), huge).unwrap();
    let out = npair(&["data", "check", "photos"], dir);
    let listed = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(3));
    for file in ["a/0.png", "b/1.png", "c/2.png"] {
        assert_eq!(listed.lines().filter(|l| l.contains("bad: ") && l.contains(file)).count(), 1, "{listed}");
    }
    let sets =
        ["--set", "batch.classes=4", "--set", "training.steps=2", "--set", "model.width=4", "--set", "images.size=16"];
    let with = |extra: &[&'static str]| -> Vec<&str> {
        ["train", "--data", "photos", "--out", "r"].into_iter().chain(sets).chain(extra.iter().copied()).collect()
    };
    let said = fails(&with(&["--set", "training.steps=200"]), dir, 3);
    assert!(["a/0.png", "b/1.png", "c/2.png"].iter().any(|f| said.contains(f)), "{said}");
    assert!(!dir.join("r").exists(), "a run that could not begin leaves no folder");
    let said = ok(&with(&["--set", "data.skip_bad=true"]), dir);
    assert!(said.contains("skipped 3 pictures"), "{said}");
}

#[test]
fn wrong_settings_and_files_are_said_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let set = |s: &'static str| ["train", "--data", "glyphs", "--out", "r", "--set", s];
    assert!(fails(&set("training.stepps=3"), dir, 2).contains("did you mean `steps`?"));
    assert!(fails(&set("batch.classes=100000"), dir, 2).contains("needs 100000 classes"));
    assert!(fails(&set("images.std=[0.0]"), dir, 2).contains("std"));
    assert!(fails(&["train", "--config", "none.toml", "--out", "r"], dir, 3).contains("none.toml"));
    std::fs::write(dir.join("bad.toml"), "[optimizer]\nlerning_rate = 1.0\n").unwrap();
    let said = fails(&["train", "--config", "bad.toml", "--out", "r"], dir, 2);
    assert!(said.contains("bad.toml") && said.contains("did you mean `learning_rate`?"), "{said}");
    assert!(!dir.join("r").exists());
    assert!(fails(&["eval", "nowhere"], dir, 3).contains("is no run"));
    assert!(fails(&["train", "--resume", "nowhere"], dir, 3).contains("is no run"));

    train(dir, &[]);
    assert!(fails(&["eval", "run", "--split", "tset"], dir, 2).contains("`tset`"));
    assert!(fails(&["eval", "run", "--checkpoint", "first"], dir, 2).contains("`first`"));
    assert!(fails(&["embed", "run", "--out", "e.txt"], dir, 2).contains("npy"));
    // A checkpoint of another architecture, and a damaged one.
    let config = dir.join("run/checkpoints/last/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    // Changed on purpose.
    std::fs::remove_file(dir.join("run/checkpoints/last/checksums.txt")).unwrap();
    std::fs::write(&config, text.replace("\"width\":4", "\"width\":5").replace("\"width\": 4", "\"width\": 5"))
        .unwrap();
    let said = fails(&["eval", "run", "--checkpoint", "last"], dir, 3);
    assert!(said.contains("model.safetensors"), "{said}");
    std::fs::write(&config, text).unwrap();
    let weights = dir.join("run/checkpoints/last/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    assert!(fails(&["eval", "run", "--checkpoint", "last"], dir, 3).contains("model.safetensors"));
    std::fs::write(&weights, bytes).unwrap();

    // NaN among embeddings, labels of another length.
    ok(&["embed", "run", "--split", "test", "--out", "e.npy"], dir);
    let mut npy = std::fs::read(dir.join("e.npy")).unwrap();
    let end = npy.len();
    npy[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(dir.join("nan.npy"), &npy).unwrap();
    assert!(fails(&["eval", "--embeddings", "nan.npy", "--labels", "e.labels.npy"], dir, 3).contains("not finite"));
    assert!(fails(&["eval", "--embeddings", "e.npy"], dir, 2).contains("--labels"));
    ok(&["embed", "run", "--split", "val", "--out", "v.npy"], dir);
    assert!(fails(&["eval", "--embeddings", "e.npy", "--labels", "v.labels.npy"], dir, 3).contains("labels for"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let args: Vec<&str> = ["train", "--data", "glyphs", "--out", "run"]
        .iter()
        .chain(&TINY)
        .chain(&["--set", "training.steps=100000"])
        .copied()
        .collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_npair"))
        .args(args)
        .current_dir(dir)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has told of a validation it is in the midst of training.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|l| l.as_ref().unwrap().starts_with("step 2,")).unwrap().unwrap();
    let drain = std::thread::spawn(move || lines.count());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let out = child.wait_with_output().unwrap();
    drain.join().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(130), "{said}");
    assert!(said.contains("saved; go on with: npair train --resume run"), "{said}");
    let state = std::fs::read_to_string(dir.join("run/checkpoints/last/training.json")).unwrap();
    assert!(state.contains("\"step\":"), "{state}");
}

//! Kills, two processes, closed pipes, full disks and what was there before: no work and no file of the user's is lost.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok, picture, pictures};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TINY: [&str; 14] = [
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
    "training.eval_every=20",
    "--set",
    "training.checkpoint_every=10",
];

fn args<'a>(run: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    ["train", "--no-plan", "--data", "glyphs", "--out", run].iter().chain(&TINY).chain(extra).copied().collect()
}

fn start(args: &[&str], dir: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_npair"));
    command.args(args).current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Everything a run ends with, but for times: weights of both checkpoints, losses and scores.
fn end(run: &Path) -> (Vec<Vec<u8>>, Vec<String>) {
    let weights = ["last", "best"]
        .map(|which| std::fs::read(run.join("checkpoints").join(which).join("model.safetensors")).unwrap());
    let journal = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{} {} {} {}", value["kind"], value["step"], value["loss"], value["scores"])
    };
    (weights.into(), journal.lines().map(line).collect())
}

#[test]
fn fifty_kills_end_where_an_uninterrupted_run_ends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let extra = ["--set", "training.steps=400", "--set", "training.checkpoint_every=4", "--threads", "1"];
    ok(&args("whole", &extra), dir);
    let (mut kills, mut state) = (0, 88_172_645_463_325_252u64);
    let mut begun = false;
    while kills < 50 {
        let resume = ["train", "--resume", "killed", "--threads", "1"];
        let mut child = if begun { start(&resume, dir) } else { start(&args("killed", &extra), dir) };
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::thread::sleep(Duration::from_millis(20 + state % 400));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // It was faster: from the start again, there are kills to come.
            std::fs::remove_dir_all(dir.join("killed")).unwrap();
            begun = false;
            continue;
        }
        kills += 1;
        begun = dir.join("killed/config.toml").is_file() && dir.join("killed/checkpoints").is_dir();
        if !begun && dir.join("killed").exists() {
            std::fs::remove_dir_all(dir.join("killed")).unwrap();
        }
    }
    if begun {
        ok(&["train", "--resume", "killed", "--threads", "1"], dir);
    } else {
        ok(&args("killed", &extra), dir);
    }
    let (killed, whole) = (end(&dir.join("killed")), end(&dir.join("whole")));
    let differs = killed.1.iter().zip(&whole.1).find(|(a, b)| a != b);
    assert_eq!((differs, killed.1.len()), (None, whole.1.len()));
    assert!(killed.0 == whole.0, "the weights differ");
}

#[test]
fn one_process_at_a_time_is_in_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut first = start(&args("run", &["--set", "training.steps=1000000"]), dir);
    // It prints its settings, then works.
    let mut said = BufReader::new(first.stdout.take().unwrap()).lines();
    while !said.next().unwrap().unwrap().contains("examples of") {}
    while !dir.join("run/checkpoints/last").is_dir() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = fails(&["train", "--resume", "run"], dir, 3);
    assert!(text.contains(&format!("is being trained by process {}", first.id())), "{text}");
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock goes with its process, however it ended.
    let text = fails(&["train", "--resume", "run", "--set", "batch.classes=5"], dir, 2);
    assert!(text.contains("`batch.classes` cannot change when a run goes on"), "{text}");
    let mut again = start(&["train", "--resume", "run"], dir);
    let mut said = BufReader::new(again.stdout.take().unwrap()).lines();
    while !said.next().unwrap().unwrap().contains("examples of") {}
    again.kill().unwrap();
    again.wait().unwrap();
}

#[test]
fn a_closed_pipe_ends_the_printing_and_not_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 20, 3);
    let mut child = start(&args("run", &["--set", "training.steps=12"]), dir);
    let mut first = [0u8; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert!(dir.join("run/checkpoints/last/model.safetensors").is_file());
    for command in [&["data", "check", "data"][..], &["eval", "run"], &["eval", "run", "--json"], &["--help"]] {
        let mut child = start(command, dir);
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success() && !said.contains("panicked"), "{command:?}: {said}");
    }
    // A log on a full disk.
    if Path::new("/dev/full").exists() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_npair"));
        let status = command.args(args("full", &["--set", "training.steps=12"])).current_dir(dir).stdout(full).status();
        assert!(status.unwrap().success());
    }
}

#[test]
fn nothing_that_was_there_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    ok(&args("run", &["--set", "training.steps=4"]), dir);
    std::fs::write(dir.join("list.csv"), "dear").unwrap();
    let text = fails(&["embed", "run", "--out", "list.npy"], dir, 2);
    assert!(text.contains("list.csv: is there already") && text.contains("--force"), "{text}");
    assert_eq!(std::fs::read_to_string(dir.join("list.csv")).unwrap(), "dear");
    assert!(!dir.join("list.npy").exists());
    ok(&["embed", "run", "--out", "list.npy", "--force"], dir);
    std::fs::write(dir.join("grid.png"), "dear").unwrap();
    for command in [&["eval", "run", "--grid", "grid.png"][..], &["data", "check", "glyphs", "--grid", "grid.png"]] {
        assert!(fails(command, dir, 2).contains("grid.png: is there already"));
    }
    assert_eq!(std::fs::read_to_string(dir.join("grid.png")).unwrap(), "dear");
    // Said before anything is embedded.
    for (out, want, code) in [("x.txt", ".txt", 2), ("none/x.npy", "there is no folder none", 3)] {
        assert!(fails(&["embed", "run", "--out", out], dir, code).contains(want));
    }
    for inside in ["metrics.jsonl", "checkpoints/mine", "notes.txt"] {
        let folder = dir.join("mine");
        std::fs::create_dir_all(folder.join("checkpoints")).unwrap();
        std::fs::write(folder.join(inside), "dear").unwrap();
        let text = fails(&args("mine", &[]), dir, 3);
        assert!(text.contains("choose"), "{text}");
        assert_eq!(std::fs::read_to_string(folder.join(inside)).unwrap(), "dear");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_checkpoint_is_saved_before_it_is_validated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    let sets =
        ["--set", "images.size=16", "--set", "model.width=4", "--set", "model.blocks=2", "--set", "training.steps=300"];
    let whole: Vec<&str> = [
        "train",
        "--data",
        "data",
        "--out",
        "whole",
        "--set",
        "training.eval_every=3",
        "--set",
        "training.checkpoint_every=3",
    ]
    .iter()
    .chain(&sets)
    .copied()
    .collect();
    ok(&whole, dir);
    let split = std::fs::read_to_string(dir.join("whole/split.csv")).unwrap();
    let val = split.lines().find(|line| line.starts_with("val,")).unwrap().rsplit(',').next().unwrap().to_owned();
    // A validation picture that cannot be read is said at the start.
    let good = std::fs::read(&val).unwrap();
    let spoil = || std::fs::write(&val, "no picture").unwrap();
    spoil();
    let run: Vec<&str> = whole.iter().map(|&arg| if arg == "whole" { "run" } else { arg }).collect();
    let text = fails(&run, dir, 3);
    assert!(text.contains(&val) && text.contains("data.skip_bad") && !dir.join("run").exists(), "{text}");
    // One that is spoiled later ends the run, which has saved before.
    std::fs::write(&val, &good).unwrap();
    let mut child = start(&[&run[..], &["--set", "data.cache_mib=0"]].concat(), dir);
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    while !said.next().unwrap().unwrap().contains("examples of") {}
    spoil();
    said.for_each(drop);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{errors}");
    assert!(errors.contains(&val) && errors.contains("npair train --resume run"), "{errors}");
    assert!(dir.join("run/checkpoints/last/model.safetensors").is_file());
    // Mended, the run goes on with the validation that is due, and ends as if nothing had been.
    std::fs::write(&val, good).unwrap();
    ok(&["train", "--resume", "run"], dir);
    assert!(end(&dir.join("run")) == end(&dir.join("whole")));
}

#[test]
fn a_damaged_checkpoint_is_said_and_a_lost_one_is_no_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    ok(&args("run", &["--set", "training.steps=30"]), dir);
    let weights = dir.join("run/checkpoints/last/model.safetensors");
    let good = std::fs::read(&weights).unwrap();
    for at in (0..good.len()).step_by(good.len() / 20) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&weights, bad).unwrap();
        for command in [&["eval", "run", "--checkpoint", "last"][..], &["train", "--resume", "run"]] {
            let text = fails(command, dir, 3);
            assert!(text.contains("model.safetensors") && text.contains("checksum"), "{text}");
        }
    }
    std::fs::write(&weights, good).unwrap();
    // Prototypes, moments and counters are under the seal too.
    for file in ["training.json", "training.safetensors", "config.json"] {
        let path = dir.join("run/checkpoints/last").join(file);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(fails(&["train", "--resume", "run"], dir, 3).contains("checksum"));
        std::fs::write(&path, good).unwrap();
    }
    let journal = std::fs::read(dir.join("run/metrics.jsonl")).unwrap();
    std::fs::remove_dir_all(dir.join("run/checkpoints/last")).unwrap();
    std::fs::remove_dir_all(dir.join("run/checkpoints/best")).unwrap();
    let text = fails(&["train", "--resume", "run"], dir, 3);
    assert!(text.contains("has lost its checkpoints"), "{text}");
    assert_eq!(std::fs::read(dir.join("run/metrics.jsonl")).unwrap(), journal);
}

/// Runs a script with a small disk of its own at `small`; none where the system does not let us have one.
fn with_a_small_disk(dir: &Path, script: &str) -> Option<std::process::Output> {
    std::fs::create_dir_all(dir.join("small")).unwrap();
    let script = format!("mount -t tmpfs -o size=256k tmpfs small || exit 99; {script}");
    let out = Command::new("unshare").args(["-rm", "sh", "-c", &script]).current_dir(dir).output().ok()?;
    let refused = out.status.code() == Some(99) || String::from_utf8_lossy(&out.stderr).contains("unshare");
    (!refused).then_some(out)
}

#[test]
fn a_full_disk_is_a_failure_while_running_and_the_last_checkpoint_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let script = format!(
        "'{}' {} --set training.steps=100000 --set training.checkpoint_every=5 --set training.eval_every=0; echo code $?; ls small/run/checkpoints/*",
        env!("CARGO_BIN_EXE_npair"),
        args("small/run", &[]).join(" ")
    );
    let Some(out) = with_a_small_disk(dir, &script) else {
        assert!(std::env::var("NPAIR_REQUIRE_ALL").is_err(), "a small disk needs unshare and mount");
        return;
    };
    let (said, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("code 4"), "{said} {errors}");
    assert!(errors.contains("cannot be written") && errors.contains("space left"), "{errors}");
    assert!(said.contains("training.json"), "{said}");
}

#[cfg(unix)]
#[test]
fn sigterm_and_a_hang_up_save() {
    for signal in ["-TERM", "-HUP"] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut child =
            start(&args("run", &["--set", "training.steps=1000000", "--set", "training.checkpoint_every=0"]), dir);
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        while !said.next().unwrap().unwrap().contains("examples of") {}
        while std::fs::read_to_string(dir.join("run/metrics.jsonl")).map_or(0, |text| text.lines().count()) < 3 {
            std::thread::sleep(Duration::from_millis(20));
        }
        // The terminal that is gone takes nothing any more.
        drop(said);
        drop(child.stderr.take());
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(dir.join("run/checkpoints/last/training.json").is_file(), "{signal}");
    }
}

#[test]
fn data_that_has_moved_is_named_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("base"), 20, 3);
    let sets =
        ["--set", "images.size=16", "--set", "model.width=4", "--set", "model.blocks=2", "--set", "training.steps=4"];
    ok(&[&["train", "--data", "base", "--out", "run"][..], &sets].concat(), dir);
    // From another working folder.
    std::fs::create_dir(dir.join("other")).unwrap();
    ok(&["eval", "../run"], &dir.join("other"));
    std::fs::rename(dir.join("base"), dir.join("moved")).unwrap();
    let text = fails(&["train", "--resume", "run"], dir, 3);
    assert!(text.contains("base") && text.contains("--data"), "{text}");
    ok(&["train", "--resume", "run", "--data", "moved"], dir);
    ok(&["eval", "run", "--data", "moved"], dir);
    picture(&dir.join("moved/c000/p00.png"), 3, 3);
}

#[test]
fn a_bad_picture_before_the_first_checkpoint_can_be_left_out_when_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    let bad = dir.join("data/c003/p01.png");
    let train: Vec<&str> =
        ["train", "--data", "data", "--out", "run", "--set", "images.size=16", "--set", "model.width=4"]
            .iter()
            .chain(&["--set", "model.blocks=2", "--set", "training.steps=40", "--set", "data.split={by=\"classes\"}"])
            .copied()
            .collect();
    std::fs::write(&bad, "no picture").unwrap();
    let text = fails(&train, dir, 3);
    assert!(text.contains("p01.png") && text.contains("--set data.skip_bad=true"), "{text}");
    assert!(text.contains("npair train --resume run --set data.skip_bad=true"), "{text}");
    let said = ok(&["train", "--resume", "run", "--set", "data.skip_bad=true"], dir);
    assert!(said.contains("skipped 1 pictures"), "{said}");
    assert!(!std::fs::read_to_string(dir.join("run/split.csv")).unwrap().contains("c003/p01"));
    // The setting is the run's from now on.
    ok(&["eval", "run"], dir);
}

#[test]
fn a_checkpoint_of_another_sampler_is_data_that_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    ok(&args("run", &["--set", "training.steps=4"]), dir);
    let config = dir.join("run/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("name = \"n-pair-mc\"", "name = \"nca-style\"")).unwrap();
    let text = fails(&["train", "--resume", "run"], dir, 3);
    assert!(text.contains("checkpoints/last") && text.contains("sampler"), "{text}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_twice_always_ends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // A step of minutes, which one Ctrl-C waits for.
    let huge = [
        "--set",
        "training.steps=9",
        "--set",
        "batch.classes=700",
        "--set",
        "model.width=512",
        "--set",
        "data.glyphs.classes=1200",
    ];
    let mut child = start(&args("run", &huge), dir);
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    while !said.next().unwrap().unwrap().contains("examples of") {}
    let interrupt =
        || assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    interrupt();
    std::thread::sleep(Duration::from_millis(300));
    interrupt();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

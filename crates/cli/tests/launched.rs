//! What the program does when a launcher has started it several times.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

/// A run of four steps; the folder follows.
fn train<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let words = "train --no-plan --data glyphs --set data.glyphs.classes=20 --set data.glyphs.instances=5 --set model.width=4 \
                 --set batch.classes=6 --set training.steps=4 --set training.eval_every=2 --set training.tensor_board=false --out";
    words.split_whitespace().chain(extra.iter().copied()).collect()
}

/// As one of three that a launcher says that it has started.
fn one_of_three(args: &[&str], rank: &str, dir: &Path) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_npair"));
    program.env("SLURM_STEP_NUM_TASKS", "3").env("SLURM_PROCID", rank);
    program.args(args).current_dir(dir).output().unwrap()
}

fn said(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    String::from_utf8(out.stderr.clone()).unwrap()
}

#[test]
fn a_verb_of_one_process_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = said(&one_of_three(&["eval", "run"], "0", dir.path()));
    assert!(first.contains("3 processes were started, but one does this"), "{first}");
    assert_eq!(said(&one_of_three(&["eval", "run"], "2", dir.path())), "");
}

#[test]
fn processes_that_cannot_speak_to_each_other_begin_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = one_of_three(&train(&["run"]), "0", dir.path());
    let cure = if cfg!(feature = "mpi") { "srun --mpi=pmix" } else { "--features mpi" };
    assert!(said(&out).contains(cure), "{out:?}");
    assert!(!dir.path().join("run").exists());
}

#[cfg(feature = "mpi")]
mod together {
    use super::*;
    use std::path::PathBuf;

    fn mpirun(ranks: &str, args: &[&str], dir: &Path) -> Output {
        let mut run = Command::new("mpirun");
        run.args(["--oversubscribe", "--bind-to", "none", "-n", ranks]).arg(env!("CARGO_BIN_EXE_npair"));
        for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
            run.env(name, "1");
        }
        run.args(args).current_dir(dir).output().unwrap()
    }

    fn well(out: &Output) -> String {
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout.clone()).unwrap()
    }

    fn weights(dir: &Path, run: &str) -> Vec<u8> {
        let file: PathBuf = ["checkpoints", "last", "model.safetensors"].iter().collect();
        std::fs::read(dir.join(run).join(file)).unwrap()
    }

    #[test]
    fn a_run_of_several_processes_is_told_by_the_first_and_has_the_bits_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut left = Vec::new();
        for ranks in ["1", "2", "3"] {
            let args = train(&[ranks, "--set", "training.shards=3"]);
            let told = well(&mpirun(ranks, &args, dir.path()));
            assert_eq!(told.matches("judge it with: npair eval").count(), 1, "{told}");
            assert_eq!(told.contains("ranks on 1 machine"), ranks != "1", "{told}");
            left.push(weights(dir.path(), ranks));
        }
        assert!(left[0] == left[1] && left[0] == left[2], "several processes end with other bits than one");
        // It goes on with another number of them, and is embedded by several.
        well(&mpirun("2", &["train", "--resume", "3", "--more", "2"], dir.path()));
        well(&mpirun("1", &["train", "--resume", "1", "--more", "2"], dir.path()));
        assert!(weights(dir.path(), "3") == weights(dir.path(), "1"));
        let embedded = |ranks: &str, out: &str| {
            well(&mpirun(ranks, &["embed", "1", "--out", out], dir.path()));
            std::fs::read(dir.path().join(out)).unwrap()
        };
        assert!(embedded("3", "three.npy") == embedded("1", "one.npy"));
    }

    #[test]
    fn a_mistake_ends_all_and_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let out = mpirun("2", &train(&["run", "--set", "training.shards=1"]), dir.path());
        let said = String::from_utf8(out.stderr.clone()).unwrap();
        assert!(!out.status.success() && said.contains("training.shards: is 1, but there are 2 ranks"), "{out:?}");
        assert!(!dir.path().join("run").exists());
    }
}

//! The program under test, run in a folder: what it says, and what it refuses in one line.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs it to its end, whatever comes of it.
pub fn npair(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_npair")).args(args).current_dir(dir).output().unwrap()
}

/// What it writes to standard output, when it succeeds.
pub fn ok(args: &[&str], dir: &Path) -> String {
    let out = npair(args, dir);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The error: its exit code, and the single line on standard error.
pub fn fails(args: &[&str], dir: &Path, code: i32) -> String {
    let out = npair(args, dir);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

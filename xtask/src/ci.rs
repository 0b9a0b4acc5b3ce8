//! `cargo xtask ci`: what an automatic check runs.

use crate::{shell, tree};
use anyhow::Result;
use std::process::Command;

pub fn run() -> Result<()> {
    let root = tree::root()?;
    shell::step(Command::new(root.join(".ci/run")).current_dir(&root), "run `cargo xtask test` and go by what it says")
}

//! Runs other programs, and says which.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// A `cargo` command in the root of the workspace, without what the cargo that runs this program says of its package: build scripts
/// look at that, and would run again whenever somebody changes between `cargo xtask` and cargo itself.
pub fn cargo(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a command with its output shown; prints what and how long; the error says the cure.
pub fn step(command: &mut Command, cure: &str) -> Result<()> {
    let line = line(command);
    println!("xtask: {line}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("`{line}` cannot be started; is it installed?"))?;
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("`{line}` failed ({status}, after {seconds:.1} s); {cure}");
    }
    println!("xtask: done in {seconds:.1} s");
    Ok(())
}

/// Runs a command and returns its output; an error holds the last of what it said.
pub fn output(command: &mut Command) -> Result<Output> {
    let line = line(command);
    let output = command.output().with_context(|| format!("`{line}` cannot be started; is it installed?"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        bail!("`{line}` failed ({}): {last}", output.status);
    }
    Ok(output)
}

/// Standard output of a command as text, without the space around it.
pub fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?.stdout).trim().to_owned())
}

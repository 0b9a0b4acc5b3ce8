//! The Python of the peer: a given one, or one made in the target folder from requirements.txt.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const CURE: &str =
    "give one that has them with --python PATH, or install Python 3 with venv and let it reach the network once";

/// A Python that can import what the peers need.
pub fn find(root: &Path, target: &Path, given: Option<&Path>) -> Result<PathBuf> {
    let requirements = root.join("benches/peers/requirements.txt");
    if let Some(python) = given {
        check(python, &requirements)
            .with_context(|| format!("{} does not have benches/peers/requirements.txt", python.display()))?;
        return Ok(python.to_owned());
    }
    let home = target.join("peers");
    let python = if cfg!(windows) { home.join("Scripts/python.exe") } else { home.join("bin/python") };
    if check(&python, &requirements).is_ok() {
        return Ok(python);
    }
    println!(
        "xtask: making a Python with benches/peers/requirements.txt in {}; this fetches some 3 GB once",
        home.display()
    );
    let system = ["python3", "python"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(system) = system else { bail!("there is no Python here; {CURE}") };
    shell::step(Command::new(system).args(["-m", "venv"]).arg(&home), CURE)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "-r"]).arg(&requirements);
    shell::step(&mut install, CURE)?;
    check(&python, &requirements)
        .with_context(|| format!("the new Python does not work; delete {}", home.display()))?;
    Ok(python)
}

/// Whether the versions are those of requirements.txt.
fn check(python: &Path, requirements: &Path) -> Result<()> {
    let text = std::fs::read_to_string(requirements)
        .with_context(|| format!("{} cannot be read; restore it", requirements.display()))?;
    let script = "import sys, importlib.metadata as m\n\
                  for word in sys.argv[1:]:\n    name, want = word.split('==')\n    got = m.version(name).split('+')[0]\n    \
                  assert got == want, f'{name} is {got} instead of {want}'";
    let mut command = Command::new(python);
    command.args(["-c", script]).args(text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')));
    let output = command.output().context("it cannot be started")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}; {CURE}", said.lines().last().unwrap_or("it said nothing"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_none_is_said() {
        let root = crate::tree::root().unwrap();
        let nowhere = Path::new("no/such/python");
        let error = format!("{:#}", find(&root, nowhere, Some(nowhere)).unwrap_err());
        assert!(error.contains("no/such/python") && error.contains("cannot be started"), "{error}");
    }
}

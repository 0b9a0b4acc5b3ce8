//! `cargo xtask golden --check DIR`: losses and metrics against reference values of other programs.

use crate::{shell, tree};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Compares with reference values, in any folder of the form KIND.json (a list of cases) + KIND.safetensors.
///
/// Tests of the crates do the comparing, `golden` of npair-KIND or `golden_KIND` of any crate; this hands them the
/// folder and sums up.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask golden --check              the project's own copy, crates/testkit/golden
  cargo xtask golden --check some/folder  any other of the same form

Exit code 1 if a value is outside its tolerance, or nothing could be compared.")]
pub struct Args {
    /// Compare. Without it only what there is to compare is listed.
    #[arg(long)]
    check: bool,
    /// Folder of reference values.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A crate's test of golden values.
#[derive(Debug, PartialEq, Eq)]
struct Judge {
    name: String,
    kind: String,
    test: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    covered: usize,
    uncovered: usize,
    wrong: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let dir = match &args.dir {
        Some(dir) => dir.canonicalize().with_context(|| format!("{}: no such folder", dir.display()))?,
        None => root.join("crates/testkit/golden"),
    };
    let (kinds, judges) = (kinds(&dir)?, judges(&root)?);
    if !args.check {
        println!("{} holds: {}", dir.display(), kinds.join(", "));
        for judge in judges {
            println!("{} compares {}: cargo test -p {} --test {}", judge.name, judge.kind, judge.name, judge.test);
        }
        println!("run it with --check");
        return Ok(());
    }
    let (mut total, mut failed) = (Sum::default(), Vec::new());
    for kind in &kinds {
        println!("\n== {kind}");
        let Some(judge) = judges.iter().find(|j| j.kind == *kind) else {
            println!("not covered: no crate npair-{kind} with tests/golden.rs, no tests/golden_{kind}.rs is there yet");
            total.uncovered += 1;
            continue;
        };
        let args = ["test", "--quiet", "-p", &judge.name, "--test", &judge.test, "--", "--nocapture"];
        let mut command = shell::cargo(&root, &args);
        let output = command.env("NPAIR_GOLDEN", &dir).output().context("cargo cannot be started")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        print!("{out}");
        let sum = read(&format!("{out}\n{err}"));
        if !output.status.success() {
            eprint!("{err}");
            if sum.wrong.is_empty() {
                failed.push(kind.as_str());
            }
        }
        total.covered += sum.covered;
        total.uncovered += sum.uncovered;
        total.wrong.extend(sum.wrong);
    }
    let Sum { covered, uncovered, wrong } = &total;
    println!("\n{covered} compared, {uncovered} not covered, {} wrong", wrong.len());
    if !wrong.is_empty() {
        bail!("outside the tolerance: {}", wrong.join(", "));
    }
    if !failed.is_empty() {
        bail!("{} could not be compared: see the message above", failed.join(", "));
    }
    if *covered == 0 {
        bail!("{}: nothing was compared", dir.display());
    }
    Ok(())
}

/// The kinds of reference values in a folder: those with a list of cases and their tensors.
fn kinds(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut kinds = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") && path.with_extension("safetensors").is_file() {
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            serde_json::from_str::<Vec<serde_json::Value>>(&text)
                .with_context(|| format!("{} is no list of cases", path.display()))?;
            kinds.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
        }
    }
    kinds.sort();
    if kinds.is_empty() {
        bail!("{} holds no KIND.json with a KIND.safetensors beside it; give a folder that does", dir.display());
    }
    Ok(kinds)
}

fn judges(root: &Path) -> Result<Vec<Judge>> {
    let mut judges = Vec::new();
    for package in tree::Metadata::read(root)?.packages {
        judges.extend(tests(&package.name, &root.join(package.folder(root)).join("tests"))?);
    }
    Ok(judges)
}

/// The tests of golden values in a crate's folder of tests, if it has one.
fn tests(name: &str, folder: &Path) -> Result<Vec<Judge>> {
    let mut judges = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(judges) };
    for entry in entries {
        let path = entry?.path();
        let Some(test) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".rs")) else {
            continue;
        };
        let kind = match test.strip_prefix("golden") {
            Some("") => name.trim_start_matches("npair-"),
            Some(rest) if rest.starts_with('_') => &rest[1..],
            _ => continue,
        };
        judges.push(Judge { name: name.to_owned(), kind: kind.to_owned(), test: test.to_owned() });
    }
    judges.sort_by(|a, b| a.kind.cmp(&b.kind));
    Ok(judges)
}

/// What a test printed: `... not covered ...` per row, a closing `N of M cases covered` or `N values compared`, and
/// `outside the tolerance: ["a", "b"]` where it panicked.
fn read(said: &str) -> Sum {
    let mut sum = Sum::default();
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [n, "of", _, "cases", "covered"] | [n, "values", "compared"] => sum.covered += n.parse().unwrap_or(0),
            _ if line.contains(" not covered") => sum.uncovered += 1,
            _ => {}
        }
        if let Some((_, list)) = line.split_once("outside the tolerance: ")
            && let Ok(names) = serde_json::from_str::<Vec<String>>(list.trim())
        {
            sum.wrong.extend(names);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tests_print_is_summed_up() {
        let said = "a 1e-7 2e-7\nb      not covered: this loss is not built yet\n1 of 2 cases covered\n\
                    thread 'x' panicked:\noutside the tolerance: [\"a\"]\n";
        assert_eq!(read(said), Sum { covered: 1, uncovered: 1, wrong: vec!["a".to_owned()] });
        assert_eq!(read("140 values compared\n").covered, 140);
    }

    #[test]
    fn a_crate_may_have_more_than_one_kind() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["golden.rs", "golden_networks.rs", "goldenrod.rs", "other.rs"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let judge = |kind: &str, test: &str| Judge {
            name: "npair-backbones".to_owned(),
            kind: kind.to_owned(),
            test: test.to_owned(),
        };
        let found = tests("npair-backbones", dir.path()).unwrap();
        assert_eq!(found, [judge("backbones", "golden"), judge("networks", "golden_networks")]);
        assert_eq!(tests("npair-none", &dir.path().join("none")).unwrap(), []);
    }

    #[test]
    fn a_folder_without_values_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(kinds(dir.path()).unwrap_err().to_string().contains("holds no KIND.json"));
        std::fs::write(dir.path().join("losses.json"), "{}").unwrap();
        std::fs::write(dir.path().join("losses.safetensors"), "").unwrap();
        assert!(format!("{:#}", kinds(dir.path()).unwrap_err()).contains("is no list of cases"));
        std::fs::write(dir.path().join("losses.json"), "[]").unwrap();
        assert_eq!(kinds(dir.path()).unwrap(), ["losses"]);
    }
}

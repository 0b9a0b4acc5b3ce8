//! `cargo xtask fetch`: public data sets, as their authors publish them.

use crate::{shell, tree};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Downloads a public data set with curl or wget; files that are there are kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fetch omniglot
  cargo xtask fetch omniglot --to some/folder
  cargo xtask reproduce --data omniglot=data/omniglot")]
pub struct Args {
    set: Set,
    /// Folder to put it in [default: data/SET].
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Set {
    /// 1,623 handwritten characters of 50 alphabets (Lake et al., 2015), 30 MB.
    Omniglot,
}

const OMNIGLOT: &str = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/";
const OMNIGLOT_FILES: [&str; 5] = [
    "images_background.zip",
    "images_evaluation.zip",
    "images_background_small1.zip",
    "images_background_small2.zip",
    "one-shot-classification/all_runs.zip",
];

pub fn run(args: &Args) -> Result<()> {
    let Set::Omniglot = args.set;
    let dir = match &args.to {
        Some(dir) => dir.clone(),
        None => tree::root()?.join("data/omniglot"),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let mut failed = Vec::new();
    for file in OMNIGLOT_FILES {
        let name = file.rsplit('/').next().unwrap_or(file);
        let (url, path) = (format!("{OMNIGLOT}{file}"), dir.join(name));
        if path.exists() {
            check(&path)
                .with_context(|| format!("{} is there but bad: remove it and run this again", path.display()))?;
            println!("{name}: is there");
            continue;
        }
        match download(&url, &path) {
            Ok(bytes) => println!("{name}: {bytes} bytes"),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push((url, path));
            }
        }
    }
    if failed.is_empty() {
        println!("all in {}", dir.display());
        return Ok(());
    }
    eprintln!("By hand: download each of these with a browser and put it where the arrow points:");
    failed.iter().for_each(|(url, path)| eprintln!("  {url} -> {}", path.display()));
    bail!("{} of {} files are missing", failed.len(), OMNIGLOT_FILES.len())
}

/// Downloads beside the place and renames, so that half a file never has the name of a whole one.
fn download(url: &str, path: &Path) -> Result<u64> {
    let beside = path.with_extension("part");
    let curl = || {
        let mut c = Command::new("curl");
        c.args(["--fail", "--location", "--silent", "--show-error", "--retry", "2", "--output"]).arg(&beside).arg(url);
        c
    };
    let wget = || {
        let mut c = Command::new("wget");
        c.args(["--no-verbose", "--tries=3", "-O"]).arg(&beside).arg(url);
        c
    };
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let mut command = match (is_there("curl"), is_there("wget")) {
        (true, _) => curl(),
        (_, true) => wget(),
        _ => bail!("neither curl nor wget is installed"),
    };
    let done = shell::output(&mut command).map(drop).and_then(|()| check(&beside));
    match done {
        Ok(bytes) => {
            std::fs::rename(&beside, path).with_context(|| format!("{} cannot be written", path.display()))?;
            Ok(bytes)
        }
        Err(error) => {
            // What came is no use; that there may be nothing to remove is fine.
            let _ = std::fs::remove_file(&beside);
            Err(error)
        }
    }
}

/// The size of a zip file, which begins with its magic.
fn check(path: &Path) -> Result<u64> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if bytes.is_empty() {
        bail!("the file is empty");
    }
    if !bytes.starts_with(b"PK\x03\x04") {
        bail!("the file is no zip archive (an error page, perhaps)");
    }
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zip_files_pass() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            check(&path).map_err(|e| e.to_string())
        };
        assert_eq!(said(b"PK\x03\x04rest"), Ok(8));
        assert!(said(b"").unwrap_err().contains("empty"));
        assert!(said(b"<html>").unwrap_err().contains("no zip archive"));
    }
}

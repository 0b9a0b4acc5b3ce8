//! `cargo xtask tidy`: the invariants of docs/architecture.md, checked over `cargo metadata` and the sources.

mod behaviour;
mod floors;
mod gradients;
mod headings;
mod names;
mod one_name;
mod roles;
mod rooms;
mod safety;
mod source;
mod strip;

use crate::tree::{self, Metadata, Package};
use anyhow::{Context, Result, bail};
use source::Source;
use std::fmt;
use std::path::{Path, PathBuf};

/// Checks the invariants of docs/architecture.md; exit code 1 if one is broken.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Another tree to check.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only list the invariants.
    #[arg(long)]
    list: bool,
}

/// What has to hold everywhere in the workspace.
struct Invariant {
    /// Its number in docs/architecture.md, or a letter for the rules of the house that are not about architecture.
    mark: &'static str,
    rule: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const INVARIANTS: [Invariant; 13] = [
    Invariant { mark: "1", rule: "arrows point down, floors do not see each other", check: floors::arrows },
    Invariant { mark: "2", rule: "ready-made layers only in nn, backbones and train", check: floors::layers },
    Invariant {
        mark: "3",
        rule: "unsafe, device words and features only in simd, similarity and nn",
        check: safety::unsafe_code,
    },
    Invariant { mark: "4", rule: "files and network only at the edge", check: behaviour::files },
    Invariant { mark: "5", rule: "batch, losses and metrics keep to their parts", check: roles::roles },
    Invariant { mark: "6", rule: "no clock, environment or global seed below train", check: behaviour::hidden_inputs },
    Invariant { mark: "7", rule: "libraries print nothing and have an error each", check: behaviour::voices },
    Invariant { mark: "8", rule: "nothing that cuts gradients is called", check: gradients::cutters },
    Invariant { mark: "A", rule: "every crate has its README and doctest hook", check: rooms::readmes },
    Invariant { mark: "B", rule: "files are short", check: rooms::sizes },
    Invariant { mark: "C", rule: "no machine's paths, no registry hosts", check: names::places },
    Invariant { mark: "D", rule: "headings of documentation stand alone", check: headings::alone },
    Invariant { mark: "E", rule: "a public name stands for one thing", check: one_name::types },
];

/// A place where an invariant is broken.
#[derive(Debug)]
struct Finding {
    file: String,
    line: usize,
    what: String,
    why: &'static str,
    cure: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, why, cure } = self;
        write!(f, "{file}:{line}: {what}; {why}; {cure}")
    }
}

/// What the checks look at.
struct Tree {
    root: PathBuf,
    packages: Vec<Package>,
    files: Vec<String>,
    sources: Vec<Source>,
}

impl Tree {
    fn load(root: &Path) -> Result<Self> {
        let root = root.canonicalize().with_context(|| format!("{}: no such folder", root.display()))?;
        let files = tree::files(&root)?;
        let sources = source::load(&root, &files)?;
        Ok(Self { packages: Metadata::read(&root)?.packages, files, sources, root })
    }

    /// Sources that are no tests, of the crates whose folder is not exempt.
    fn code<'a>(&'a self, exempt: &'a [&'a str]) -> impl Iterator<Item = &'a Source> {
        let is_exempt = |s: &Source| exempt.iter().any(|e| s.file == *e || s.file.starts_with(&format!("{e}/")));
        self.sources.iter().filter(move |s| !s.is_test && !is_exempt(s))
    }
}

pub fn run(args: &Args) -> Result<()> {
    if args.list {
        INVARIANTS.iter().for_each(|i| println!("{}  {}", i.mark, i.rule));
        return Ok(());
    }
    match &args.root {
        Some(root) => report(root),
        None => report(&tree::root()?),
    }
}

/// Checks all invariants and prints what is broken.
pub fn report(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    let mut broken = Vec::new();
    for Invariant { mark, rule, check } in &INVARIANTS {
        let findings = check(&tree);
        findings.iter().for_each(|f| println!("invariant {mark} ({rule}): {f}"));
        if !findings.is_empty() {
            broken.push(format!("{mark} ({rule}, {} times)", findings.len()));
        }
    }
    if !broken.is_empty() {
        bail!("broken: {}; docs/architecture.md says why they are there", broken.join(", "));
    }
    println!("{} invariants hold in {} files of {} crates", INVARIANTS.len(), tree.files.len(), tree.packages.len());
    Ok(())
}

//! The tree of the workspace: its root, its packages, its files.

use crate::shell;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace that this program was built in.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("xtask lies in no workspace")
}

/// What `cargo metadata --no-deps` says.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
pub struct Package {
    pub name: String,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
    /// `None`: may be published anywhere; `[]`: unpublished.
    pub publish: Option<Vec<String>>,
    pub targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub kind: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
    pub src_path: PathBuf,
}

impl Metadata {
    /// Reads the packages of the workspace in `root`; resolves and fetches nothing.
    pub fn read(root: &Path) -> Result<Self> {
        let mut command = shell::cargo(root, &["metadata", "--no-deps", "--format-version", "1", "--offline"]);
        let mut metadata: Self = serde_json::from_slice(&shell::output(&mut command)?.stdout)
            .context("the answer of `cargo metadata` is not understood")?;
        metadata.packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(metadata)
    }
}

impl Package {
    /// Its folder, relative to the root, with forward slashes.
    pub fn folder(&self, root: &Path) -> String {
        let dir = self.manifest_path.parent().unwrap_or(root);
        // `root` may be reached through links that cargo has resolved.
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let inner = dir.strip_prefix(root).or_else(|_| dir.strip_prefix(&real)).unwrap_or(dir);
        inner.to_string_lossy().replace('\\', "/")
    }

    pub fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|to| !to.is_empty())
    }

    pub fn has_library(&self) -> bool {
        self.targets.iter().any(|t| t.kind.iter().any(|k| k == "lib"))
    }
}

/// All files of a tree that git does not ignore, relative to its root; of a tree without git all but build folders.
pub fn files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = if root.join(".git").exists() { shell::output(&mut git).ok() } else { None };
    let mut files = match listed {
        Some(listed) => {
            let names = listed.stdout.split(|b| *b == 0).filter(|n| !n.is_empty());
            names.map(|n| String::from_utf8_lossy(n).into_owned()).collect()
        }
        // An exported tree, or one whose owner git does not trust.
        None => {
            let mut found = Vec::new();
            walk(root, root, &mut found)?;
            found
        }
    };
    files.retain(|f| root.join(f).is_file());
    files.sort();
    files.dedup();
    if files.is_empty() {
        bail!("{} holds no files", root.display());
    }
    Ok(files)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with("target") && name != ".git" {
                walk(root, &path, found)?;
            }
        } else if let Ok(inner) = path.strip_prefix(root) {
            found.push(inner.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

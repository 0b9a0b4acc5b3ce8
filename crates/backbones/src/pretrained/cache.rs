//! The Hub's cache as Python's `huggingface_hub` lays it out: `refs/REVISION` names a commit, `snapshots/COMMIT/FILE` is a link to
//! `blobs/ETAG`.

use std::fs;
use std::path::{Path, PathBuf};

/// The part of the cache that belongs to a repository.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `repo` has to be `OWNER/NAME` in plain letters, as [`Weights`](super::Weights) are when they were read.
    pub(super) fn of(cache: &Path, repo: &str) -> Self {
        Self { folder: cache.join(format!("models--{}", repo.replace('/', "--"))) }
    }

    /// A file that is there.
    pub(super) fn find(&self, revision: &str, name: &str) -> Option<PathBuf> {
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        // A revision may be a commit itself.
        let path = self.snapshot(commit.trim()).filter(|_| is_plain(commit.trim()))?.join(name);
        path.is_file().then_some(path)
    }

    fn snapshot(&self, commit: &str) -> Option<PathBuf> {
        is_plain(commit).then(|| self.folder.join("snapshots").join(commit))
    }
}

/// Whether something is a file's name that leads nowhere else: letters, digits, `-`, `_`, `.`, none of the latter in front.
pub(super) fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(feature = "hub")]
impl Cache {
    /// Takes a file in: `write` fills it. Both names were said by an endpoint, and are checked before anything is written.
    pub(super) fn keep(
        &self,
        revision: &str,
        said: &Said,
        name: &str,
        write: impl FnOnce(&mut fs::File) -> Result<(), String>,
    ) -> Result<PathBuf, String> {
        let snapshot = self.snapshot(&said.commit).ok_or("the endpoint names a commit in an impossible way")?;
        if !is_plain(&said.etag) {
            return Err("the endpoint names the content (etag) in an impossible way".to_owned());
        }
        let blob = self.folder.join("blobs").join(&said.etag);
        let (pointer, reference) = (snapshot.join(name), self.folder.join("refs").join(revision));
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |e: std::io::Error| format!("{path}: {e}")
        };
        for file in [&blob, &pointer, &reference] {
            let folder = file.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        // Beside, and of this process alone; renamed when it is whole.
        let beside = blob.with_file_name(format!("{}.{}.part", said.etag, std::process::id()));
        let written = fs::File::create(&beside).map_err(at(&beside)).and_then(|mut file| {
            write(&mut file)?;
            file.sync_all().map_err(at(&beside))?;
            fs::rename(&beside, &blob).map_err(at(&blob))
        });
        if written.is_err() {
            // Half a file is of no use; that it stays is no further harm.
            fs::remove_file(&beside).ok();
        }
        written?;
        link(&blob, &pointer, &name_of(name, &said.etag)).map_err(at(&pointer))?;
        fs::write(&reference, &said.commit).map_err(at(&reference))?;
        Ok(pointer)
    }
}

/// What an endpoint says a file is.
#[cfg(feature = "hub")]
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) commit: String,
    pub(super) etag: String,
}

/// The way from `snapshots/COMMIT/NAME` to the content.
#[cfg(feature = "hub")]
fn name_of(name: &str, etag: &str) -> PathBuf {
    let up = "../".repeat(2 + name.matches('/').count());
    PathBuf::from(format!("{up}blobs/{etag}"))
}

#[cfg(feature = "hub")]
fn link(blob: &Path, pointer: &Path, relative: &Path) -> std::io::Result<()> {
    if pointer.exists() {
        return Ok(());
    }
    // One that leads nowhere.
    fs::remove_file(pointer).ok();
    #[cfg(unix)]
    {
        let _ = blob;
        std::os::unix::fs::symlink(relative, pointer)
    }
    #[cfg(not(unix))]
    {
        let _ = relative;
        fs::copy(blob, pointer).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_plain() {
        for good in ["0123abc", "a-b_c.d", "d41d8cd98f00b204e9800998ecf8427e"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", ".hidden", "a\0b", "a b", &"x".repeat(129)] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}

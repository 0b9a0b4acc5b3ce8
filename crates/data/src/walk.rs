//! The files below a folder, sorted, without the hidden ones.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders nested deeper than this are taken for a loop of links.
const DEEPEST: usize = 24;

/// One visible entry of a folder.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// The entries of one folder, sorted by name; links are followed, names that start with a dot and `__MACOSX` are
/// left out.
pub(crate) fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let fault = |e: std::io::Error| Error::read(folder.display(), &e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let name = entry.file_name();
        if is_hidden(&name.to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        // Listing says what an entry is, but for links: following them asks the system once more for each. One that leads
        // nowhere counts as a file, and fails when it is loaded.
        let kind = entry.file_type().map_err(fault)?;
        let is_folder = if kind.is_symlink() { path.is_dir() } else { kind.is_dir() };
        entries.push((name, Entry { name: entry.file_name().to_string_lossy().into_owned(), path, is_folder }));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// All files below a folder at any depth.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(folder, 0, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > DEEPEST {
        let why = format!("lies more than {DEEPEST} folders deep");
        return Err(Error::dataset(folder.display(), why, "look for a link that leads back up, and remove it"));
    }
    for entry in entries(folder)? {
        match entry.is_folder {
            true => collect(&entry.path, depth + 1, found)?,
            false => found.push(entry.path),
        }
    }
    Ok(())
}

/// Whether a name is one that people do not mean: hidden, or the leftovers of a Macintosh archive.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

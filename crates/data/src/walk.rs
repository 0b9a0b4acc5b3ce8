//! The files below a folder, sorted, without those that nobody means.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders nested deeper than this are taken for a loop of links.
const DEEPEST: usize = 24;

/// Folders that systems and programs put between pictures: copies in small, deleted files, leftovers of archives. Compared
/// without regard to case.
const OF_PROGRAMS: [&str; 13] = [
    "__MACOSX",
    "__pycache__",
    "@eaDir",
    "@Recycle",
    "@Recently-Snapshot",
    "#recycle",
    "#snapshot",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    "lost+found",
    "Network Trash Folder",
    "Temporary Items",
];

/// Endings of pictures that are read.
const PICTURES: [&str; 8] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"];

/// One visible entry of a folder.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// What was passed over on the way.
#[derive(Debug, Default, Clone)]
pub(crate) struct PassedOver {
    /// Hidden folders, and those of programs.
    pub(crate) folders: Vec<PathBuf>,
    /// Named pipes, devices, sockets.
    pub(crate) odd: Vec<PathBuf>,
}

impl PassedOver {
    /// A line for each kind that there is, as `listed` lists names.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (what, paths) in [
            ("hidden folders and folders of other programs", &self.folders),
            ("named pipes, devices and sockets", &self.odd),
        ] {
            if !paths.is_empty() {
                let names = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
                notes.push(format!("{} {what} were passed over: {}", paths.len(), listed(&names)));
            }
        }
        notes
    }
}

/// The entries of one folder, sorted by name; links are followed. Hidden names and folders of programs are left out, and so is
/// what is neither a file nor a folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<Entry>> {
    entries_noting(folder, &mut PassedOver::default())
}

/// The same, telling what was passed over.
pub(crate) fn entries_noting(folder: &Path, passed: &mut PassedOver) -> Result<Vec<Entry>> {
    let fault = |e: std::io::Error| Error::read(folder.display(), &e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (name, path) = (entry.file_name(), entry.path());
        // Listing says what an entry is, but for links: following them asks the system once more for each. One that leads
        // nowhere counts as a file, and fails when it is loaded.
        let kind = entry.file_type().map_err(fault)?;
        let (is_folder, is_file) = match kind.is_symlink() {
            true => std::fs::metadata(&path).map_or((false, true), |m| (m.is_dir(), m.is_file())),
            false => (kind.is_dir(), kind.is_file()),
        };
        if is_hidden(&name.to_string_lossy()) {
            if is_folder {
                passed.folders.push(path);
            }
        } else if is_folder || is_file {
            entries.push((name, Entry { name: entry.file_name().to_string_lossy().into_owned(), path, is_folder }));
        } else {
            passed.odd.push(path);
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// All files below a folder at any depth.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    files_noting(folder, &mut PassedOver::default())
}

/// The same, telling what was passed over.
pub(crate) fn files_noting(folder: &Path, passed: &mut PassedOver) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(folder, 0, &mut found, passed)?;
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>, passed: &mut PassedOver) -> Result<()> {
    if depth > DEEPEST {
        let why = format!("lies more than {DEEPEST} folders deep");
        return Err(Error::dataset(folder.display(), why, "look for a link that leads back up, and remove it"));
    }
    for entry in entries_noting(folder, passed)? {
        match entry.is_folder {
            true => collect(&entry.path, depth + 1, found, passed)?,
            false => found.push(entry.path),
        }
    }
    Ok(())
}

/// Whether a name is one that people do not mean: hidden, or of a folder that a program made.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || OF_PROGRAMS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a file has the ending of a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| PICTURES.contains(&ending.as_str()))
}

/// Most names listed in a note.
const LISTED: usize = 5;

/// The first names, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let rest = names.len().saturating_sub(LISTED);
    let mut list = names[..names.len() - rest].iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        list += &format!(" and {rest} more");
    }
    list
}

/// A name with line breaks and other control characters written out (`\r`): what lists it a line stays a line.
pub(crate) fn printable(name: &str) -> String {
    match name.contains(char::is_control) {
        false => name.to_owned(),
        true => name.chars().fold(String::new(), |mut text, c| {
            match c.is_control() {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
            text
        }),
    }
}

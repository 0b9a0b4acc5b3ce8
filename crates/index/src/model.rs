//! The folder of a model, copied as it is.

use crate::{Error, Result};
use std::fs::{self, File};
use std::path::Path;

/// Where an index keeps its model.
pub(crate) const FOLDER: &str = "model";
/// Where it grows while it is copied.
const BESIDE: &str = "model.new";
/// Folders within folders.
const DEEPEST: usize = 16;

/// Copies a folder into an index; it is there whole or not at all.
pub(crate) fn copy_into(from: &Path, index: &Path) -> Result<()> {
    let (to, beside) = (index.join(FOLDER), index.join(BESIDE));
    if to.exists() {
        let cure = "vectors of two models cannot be compared; make another index for the other model";
        return Err(Error::Exists { path: to, cure });
    }
    let inside = |folder: &Path| folder.canonicalize().map_err(|e| Error::unread(folder, &e));
    if inside(index)?.starts_with(inside(from)?) {
        return Err(Error::file(from, "holds the index itself: give the folder of the model alone"));
    }
    // Of a copy that was interrupted.
    if let Err(e) = fs::remove_dir_all(&beside)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::unwritten(&beside, e));
    }
    copy_folder(from, &beside)?;
    fs::rename(&beside, &to).map_err(|e| Error::unwritten(&to, e))
}

/// Copies a folder to a place where nothing is yet: files, links to files as files, and folders, synced to the disk.
///
/// # Errors
/// [`Error::File`] for what is none of these, a link to a folder, or folders more than 16 deep; [`Error::Missing`];
/// [`Error::Exists`] and [`Error::Write`] for the place. What was copied before an error stays there.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, DEEPEST)
}

fn copy(from: &Path, to: &Path, deep: usize) -> Result<()> {
    if deep == 0 {
        return Err(Error::file(from, format!("is more than {DEEPEST} folders deep: leave it out")));
    }
    fs::create_dir(to).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists { path: to.to_owned(), cure: "choose another name" },
        _ => Error::unwritten(to, e),
    })?;
    for entry in fs::read_dir(from).map_err(|e| Error::unread(from, &e))? {
        let entry = entry.map_err(|e| Error::unread(from, &e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(|e| Error::unread(&source, &e))?;
        let behind = fs::metadata(&source).map_err(|e| Error::unread(&source, &e))?;
        match (kind.is_dir(), behind.is_file()) {
            (true, _) => copy(&source, &target, deep - 1)?,
            (false, true) => copy_file(&source, &target)?,
            _ => return Err(Error::file(&source, "is neither a file nor a folder: leave it out")),
        }
    }
    crate::files::sync_folder(to)
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|e| Error::unread(from, &e))?;
    let mut copied = || -> std::io::Result<()> {
        let mut target = File::create_new(to)?;
        std::io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copied().map_err(|e| Error::unwritten(to, e))
}

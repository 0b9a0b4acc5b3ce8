use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Seals a finished folder and puts it in the place of an old one. At every moment the place or `NAME.old`, which [`present`]
/// finds too, is a whole one: the old one goes only when the new one is in its place.
pub(crate) fn replace(new: &Path, place: &Path) -> Result<()> {
    npair_evaluate::seal(new)?;
    let old = beside(place, "old");
    let moved = || -> std::io::Result<()> {
        if place.exists() {
            remove(&old)?;
            fs::rename(place, &old)?;
        }
        fs::rename(new, place)?;
        remove(&old)
    };
    moved().map_err(|e| npair_evaluate::Error::unwritten(place, &e).into())
}

/// Where a folder written by [`replace`] is: in its place, or, after a kill in the wrong moment, beside it.
pub(crate) fn present(place: &Path) -> Option<PathBuf> {
    [place.to_owned(), beside(place, "old")].into_iter().find(|p| p.is_dir())
}

/// An empty folder to be filled and handed to [`replace`].
pub(crate) fn fresh(place: &Path) -> Result<PathBuf> {
    let new = beside(place, "new");
    remove(&new).and_then(|()| fs::create_dir_all(&new)).map_err(|e| npair_evaluate::Error::unwritten(&new, &e))?;
    Ok(new)
}

fn remove(folder: &Path) -> std::io::Result<()> {
    if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    path.with_file_name(name)
}

/// Reads a text file of a run.
pub(crate) fn read(path: &Path, cure: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::file(path, format!("cannot be read: {e}; {cure}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_evaluate::write_file;

    #[test]
    fn the_old_survives_a_kill_at_any_moment() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("last");
        let fill = |text: &str| {
            let new = fresh(&place).unwrap();
            write_file(&new.join("x"), text.as_bytes()).unwrap();
            new
        };
        replace(&fill("1"), &place).unwrap();
        // Killed while the next one is written.
        fill("2");
        assert_eq!(fs::read_to_string(present(&place).unwrap().join("x")).unwrap(), "1");
        // Killed between the renames.
        fs::rename(&place, beside(&place, "old")).unwrap();
        assert_eq!(fs::read_to_string(present(&place).unwrap().join("x")).unwrap(), "1");
        // And killed again, after the next one was written and before it was moved.
        let third = fill("3");
        assert_eq!(fs::read_to_string(present(&place).unwrap().join("x")).unwrap(), "1");
        replace(&third, &place).unwrap();
        assert_eq!(fs::read_to_string(present(&place).unwrap().join("x")).unwrap(), "3");
        assert!(!beside(&place, "old").exists() && !beside(&place, "new").exists());
    }
}

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The file of a folder that says what the others hold.
const SEAL: &str = "checksums.txt";

/// Writes a file beside its place, under a name that nobody else has, and renames it: a kill or a full disk leaves the old one
/// whole, and a link that lies in wait is not followed.
///
/// # Errors
/// [`Error::Write`] if it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, &mut |file| file.write_all(bytes))
}

/// The same for what is not in memory as a whole.
pub(crate) fn write_with(path: &Path, content: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = tempfile::Builder::new();
    beside.prefix(".npair-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other file: what the user's mask leaves of it.
        beside.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut written = || -> std::io::Result<()> {
        let mut file = beside.tempfile_in(folder)?;
        let mut buffered = BufWriter::new(file.as_file_mut());
        content(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|e| Error::unwritten(path, &e))
}

/// An error unless all of these may be written: they are not there, or `replace` is asked for, and their folders are.
///
/// # Errors
/// [`Error::Exists`] for the first that is there, [`Error::File`] for the first without a folder.
pub fn check_free(paths: &[PathBuf], replace: bool) -> Result<()> {
    for path in paths {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Error::file(path, format!("cannot be written: there is no folder {}", folder.display())));
        }
        if path.exists() && !replace {
            return Err(Error::Exists { path: path.clone() });
        }
    }
    Ok(())
}

/// Writes down what the files of a folder hold, for [`check_seal`].
///
/// # Errors
/// [`Error::File`] if one cannot be read, [`Error::Write`] if the list cannot be written.
pub fn seal(folder: &Path) -> Result<()> {
    let lines: Vec<String> =
        sums(folder)?.into_iter().map(|(name, (sum, size))| format!("{sum:08x} {size} {name}\n")).collect();
    write_file(&folder.join(SEAL), lines.concat().as_bytes())
}

/// An error unless the files of a folder hold what they held when it was [sealed](seal); a folder that never was is passed.
///
/// # Errors
/// [`Error::File`] for the first that differs.
pub fn check_seal(folder: &Path) -> Result<()> {
    let path = folder.join(SEAL);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::file(&path, format!("cannot be read: {e}"))),
    };
    let now = sums(folder)?;
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(3, ' ').collect();
        let [sum, size, name] = parts[..] else { return Err(Error::file(&path, "is damaged")) };
        let as_it_was = now.get(name).is_some_and(|(s, n)| format!("{s:08x}") == sum && n.to_string() == size);
        if !as_it_was {
            let why = "is not what was written (its checksum differs): take another checkpoint, or a copy of this one; if it \
                       was changed on purpose, remove checksums.txt beside it";
            return Err(Error::file(&folder.join(name), why));
        }
    }
    Ok(())
}

/// Checksum and size of every file of a folder.
fn sums(folder: &Path) -> Result<BTreeMap<String, (u32, u64)>> {
    let unread = |path: &Path, e: std::io::Error| Error::file(path, format!("cannot be read: {e}"));
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|e| unread(folder, e))? {
        let path = entry.map_err(|e| unread(folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && name != SEAL {
            let bytes = fs::read(&path).map_err(|e| unread(&path, e))?;
            sums.insert(name, (crc32fast::hash(&bytes), bytes.len() as u64));
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_folder_knows_every_flipped_bit() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a", &[1u8, 2, 3][..]), ("b", &[0u8; 100])] {
            write_file(&dir.path().join(name), bytes).unwrap();
        }
        check_seal(dir.path()).unwrap();
        seal(dir.path()).unwrap();
        check_seal(dir.path()).unwrap();
        for (name, len) in [("a", 3), ("b", 100)] {
            for bit in (0..8 * len).step_by(7) {
                let path = dir.path().join(name);
                let good = fs::read(&path).unwrap();
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, bad).unwrap();
                assert!(check_seal(dir.path()).unwrap_err().to_string().contains("checksum"));
                fs::write(&path, good).unwrap();
            }
        }
        fs::remove_file(dir.path().join("a")).unwrap();
        assert!(check_seal(dir.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_lies_in_wait_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("x.npy"), dir.path().join("victim"));
        fs::write(&victim, "dear").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("x.npy.new")).unwrap();
        write_file(&path, b"new").unwrap();
        assert_eq!((fs::read(&victim).unwrap(), fs::read(&path).unwrap()), (b"dear".to_vec(), b"new".to_vec()));
    }

    #[test]
    fn what_is_there_is_not_replaced_unless_asked() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        write_file(&old, b"x").unwrap();
        let said = check_free(&[new.clone(), old.clone()], false).unwrap_err().to_string();
        assert!(said.contains("is there already") && said.contains("--force"), "{said}");
        check_free(&[new, old], true).unwrap();
        let said = check_free(&[dir.path().join("none/x")], true).unwrap_err().to_string();
        assert!(said.contains("there is no folder"), "{said}");
    }
}

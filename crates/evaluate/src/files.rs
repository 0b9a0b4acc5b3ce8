use crate::{Error, Result};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Writes a file beside its place and renames it, so that a kill or a full disk leaves the old one whole.
///
/// # Errors
/// [`Error::File`] if it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|e| {
        // Best effort: the half-written file is of no use.
        let _ = fs::remove_file(&beside);
        Error::file(path, format!("cannot be written: {e}; check the folder, its permissions and the space left"))
    })
}

use crate::walk::is_hidden;
use crate::{Error, Result, read_regular};
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use zip::ZipArchive;

/// The largest archive that is held in memory, in bytes: 1 GiB; the official ones have less than 10 MiB.
const MAX_ARCHIVE: u64 = 1 << 30;

/// The largest drawing, in bytes: 4 MiB; the official ones have less than 1 KiB.
const MAX_ENTRY: u64 = 4 << 20;

/// An archive in memory with its directory read: reading an entry needs no lock, each reader clones two pointers.
#[derive(Debug)]
pub(crate) struct Zipped {
    name: String,
    archive: ZipArchive<Cursor<Arc<[u8]>>>,
}

impl Zipped {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read_regular(path, MAX_ARCHIVE).map_err(|e| match e {
            Error::TooLarge { why, .. } => Error::Zip { file: name.clone(), why },
            other => other,
        })?;
        Self::of(name, bytes)
    }

    /// An archive whose bytes are at hand.
    pub(crate) fn of(name: String, bytes: Vec<u8>) -> Result<Self> {
        let archive = ZipArchive::new(Cursor::new(Arc::from(bytes)))
            .map_err(|e| Error::Zip { file: name.clone(), why: format!("{e} (it may be truncated)") })?;
        Ok(Self { name, archive })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn fault(&self, at: usize, e: impl std::fmt::Display) -> Error {
        Error::Zip { file: self.name.clone(), why: format!("entry {at}: {e}") }
    }

    /// Numbers and paths of all visible files.
    ///
    /// # Errors
    /// [`Error::Zip`] if any entry's path climbs out of the archive: nothing of such an archive is trusted.
    pub(crate) fn entries(&self) -> Result<Vec<(usize, String)>> {
        let mut found = Vec::with_capacity(self.archive.len());
        for at in 0..self.archive.len() {
            let entry = self.archive.by_index_data(at).map_err(|e| self.fault(at, e))?;
            let path = entry.name().map_err(|e| self.fault(at, e))?;
            let climbs = path.split(['/', '\\']).any(|name| name == "..");
            if climbs || path.starts_with(['/', '\\']) || path.contains([':', '\0']) {
                return Err(self.fault(at, format!("its path {path:?} climbs out of the archive")));
            }
            if entry.is_dir() || path.split('/').any(is_hidden) {
                continue;
            }
            found.push((at, path.into_owned()));
        }
        found.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(found)
    }

    /// An error if the entry claims more bytes than a drawing can have.
    pub(crate) fn expect_small(&self, at: usize) -> Result<()> {
        let size = self.archive.by_index_data(at).map_err(|e| self.fault(at, e))?.size();
        if size > MAX_ENTRY {
            let why = format!("it claims {size} bytes, the limit is {MAX_ENTRY}");
            return Err(Error::TooLarge { file: self.describe(at), why });
        }
        Ok(())
    }

    pub(crate) fn describe(&self, at: usize) -> String {
        match self.archive.name_for_index(at) {
            Some(Ok(path)) => format!("{}/{path}", self.name),
            _ => format!("{} entry {at}", self.name),
        }
    }

    /// The unpacked bytes of an entry; checks its checksum.
    pub(crate) fn read(&self, at: usize) -> Result<Vec<u8>> {
        let mut archive = self.archive.clone();
        let fault = |e: &dyn std::fmt::Display| Error::Zip { file: self.describe(at), why: e.to_string() };
        let entry = archive.by_index(at).map_err(|e| fault(&e))?;
        let mut bytes = Vec::new();
        // Does not trust the size that the directory claims.
        entry.take(MAX_ENTRY + 1).read_to_end(&mut bytes).map_err(|e| fault(&e))?;
        if bytes.len() as u64 > MAX_ENTRY {
            let why = format!("it unpacks to more than {MAX_ENTRY} bytes");
            return Err(Error::TooLarge { file: self.describe(at), why });
        }
        Ok(bytes)
    }
}

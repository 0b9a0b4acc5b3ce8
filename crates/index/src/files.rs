//! Files of a folder: written once, synced, named with their size and checksum; whatever else lies there is left or swept.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are handled at once.
pub(crate) const PIECE: usize = 1 << 20;

/// A file of an index, as `index.json` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

/// What the files of an index are called: kind, number of their generation, ending.
const KINDS: [(&str, &str); 5] = [
    ("vectors", "safetensors"),
    ("rows", "parquet"),
    ("thumbnails", "bin"),
    ("removed", "safetensors"),
    ("graph", "safetensors"),
];

/// The name of a file of an index.
pub(crate) fn name(kind: &str, generation: u64) -> String {
    let ending = KINDS.iter().find(|(k, _)| *k == kind).map_or("bin", |(_, ending)| ending);
    format!("{kind}-{generation}.{ending}")
}

/// The generation in a file's name, if it is a name of this kind: no path leads out of the folder.
pub(crate) fn generation_of(kind: &str, file: &str) -> Option<u64> {
    let number = file.strip_prefix(kind)?.strip_prefix('-')?.split('.').next()?.parse().ok()?;
    (name(kind, number) == file).then_some(number)
}

/// Whether a file's name is one that an index writes and that may be taken away.
fn is_ours(file: &str) -> bool {
    file == "index.json.new" || KINDS.iter().any(|(kind, _)| generation_of(kind, file).is_some())
}

/// A new file, with the checksum of what was written so far.
pub(crate) struct Sink {
    path: PathBuf,
    name: String,
    to: BufWriter<File>,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl Sink {
    pub(crate) fn new(folder: &Path, name: String) -> Result<Self> {
        let path = folder.join(&name);
        // One of that name is a leftover, or a link that lies in wait: neither is written through.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::unwritten(&path, e)),
            _ => {}
        }
        let file = File::create_new(&path).map_err(|e| Error::unwritten(&path, e))?;
        Ok(Self { path, name, to: BufWriter::with_capacity(PIECE, file), bytes: 0, crc: crc32fast::Hasher::new() })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| Error::unwritten(&self.path, e))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file is on the disk, not in a cache of the system.
    pub(crate) fn finish(mut self) -> Result<FileRecord> {
        let synced = self.to.flush().and_then(|()| self.to.get_ref().sync_all());
        synced.map_err(|e| Error::unwritten(&self.path, e))?;
        Ok(FileRecord { name: self.name, bytes: self.bytes, crc32: self.crc.finalize() })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.crc.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// A file being read in pieces, whose size is the one written down.
pub(crate) struct Source {
    path: PathBuf,
    from: File,
    crc: crc32fast::Hasher,
    crc32: u32,
}

impl Source {
    pub(crate) fn open(folder: &Path, record: &FileRecord) -> Result<Self> {
        let path = folder.join(&record.name);
        let from = File::open(&path).map_err(|e| Error::unread(&path, &e))?;
        let bytes = from.metadata().map_err(|e| Error::unread(&path, &e))?.len();
        if bytes != record.bytes {
            return Err(Error::damaged(&path, format!("has {bytes} bytes, but {} were written", record.bytes)));
        }
        Ok(Self { path, from, crc: crc32fast::Hasher::new(), crc32: record.crc32 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills the buffer.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.from.read_exact(buffer).map_err(|e| Error::unread(&self.path, &e))?;
        self.crc.update(buffer);
        Ok(())
    }

    /// After all was read: an error unless it is what was written.
    pub(crate) fn finish(self) -> Result<()> {
        if self.crc.finalize() == self.crc32 {
            return Ok(());
        }
        Err(Error::damaged(&self.path, "is not what was written (its checksum differs)"))
    }
}

/// All bytes of a file, checked.
pub(crate) fn read(folder: &Path, record: &FileRecord) -> Result<Vec<u8>> {
    let mut source = Source::open(folder, record)?;
    let room = usize::try_from(record.bytes).map_err(|_| Error::damaged(source.path(), "is too large"))?;
    let mut bytes = vec![0; room];
    source.read(&mut bytes)?;
    source.finish()?;
    Ok(bytes)
}

/// Names that were given or taken away in a folder are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    // Where folders cannot be opened, they need no syncing either.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| Error::unwritten(folder, e))?;
    }
    Ok(())
}

/// Files of earlier or unfinished generations.
pub(crate) fn leftovers(folder: &Path, is_used: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| is_ours(name) && !is_used(name)).map(|name| folder.join(name)).collect()
}

/// Takes leftovers away, as far as that is possible: none of them is ever read.
pub(crate) fn sweep(leftovers: &[PathBuf]) {
    for path in leftovers {
        let _ = fs::remove_file(path);
    }
}

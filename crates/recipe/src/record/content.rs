//! What an example is, whatever it is called: a fingerprint of its bytes.

use crate::{Error, Result};
use npair_data::Dataset;
use npair_types::ExampleId;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::UNIX_EPOCH;

/// The first 128 bits of the SHA-256 of an example: of its file's bytes, of its pixels where it has no file of its own, or of its
/// row of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(u128);

impl ContentId {
    fn of(parts: &[&[u8]]) -> Self {
        let mut sha = Sha256::new();
        parts.iter().for_each(|part| sha.update(part));
        let bytes: [u8; 32] = sha.finalize().into();
        Self(bytes[..16].iter().fold(0, |id, &byte| id << 8 | u128::from(byte)))
    }

    /// Of a picture of a data set.
    pub(crate) fn of_picture(data: &dyn Dataset, example: ExampleId) -> Result<Self> {
        if let Some(path) = data.file(example) {
            let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
            return Ok(Self::of(&[&bytes]));
        }
        let picture = data.load(example)?;
        let size = [picture.width(), picture.height(), u32::from(picture.channels())].map(u32::to_le_bytes);
        Ok(Self::of(&[size.as_flattened(), picture.pixels()]))
    }

    /// Of a row of a matrix.
    pub(crate) fn of_row(row: &[f32]) -> Self {
        let bytes: Vec<u8> = row.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
        Self::of(&[&bytes])
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ContentId {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        u128::from_str_radix(text, 16).map(Self).map_err(|e| format!("`{text}` is no fingerprint: {e}"))
    }
}

/// Size and time of a file: while both stay, so does its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// Bytes.
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: u64,
}

impl Stamp {
    /// Of a file; none if it cannot be looked at, or its time is unknown.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        let since = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { size: about.len(), modified: u64::try_from(since.as_nanos()).ok()? })
    }
}

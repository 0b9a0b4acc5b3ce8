//! Every parser of this crate for bytes of unknown origin, as fuzzing calls them. Each says whether the bytes were accepted.

use crate::official::{mat, separator_of};
use crate::omniglot::Zipped;
use crate::{LfwPairs, OmlCsv, decode};
use std::path::Path;

/// Entries of an archive that are unpacked.
const MOST_ENTRIES: usize = 100;

/// A picture of any format.
pub fn picture(bytes: &[u8]) -> bool {
    decode::decode(bytes, String::new).is_ok()
}

/// A MATLAB file of annotations.
pub fn matlab(bytes: &[u8]) -> bool {
    mat::accepts(bytes)
}

/// A table of pictures.
pub fn table(bytes: &[u8]) -> bool {
    let _ = separator_of(bytes);
    OmlCsv::parse("table", Path::new("root"), bytes).is_ok()
}

/// A list of pairs.
pub fn pairs(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| LfwPairs::parse("pairs", text).is_ok())
}

/// An archive, with what is in it.
pub fn archive(bytes: &[u8]) -> bool {
    let Ok(archive) = Zipped::of("archive".to_owned(), bytes.to_vec()) else { return false };
    let Ok(entries) = archive.entries() else { return false };
    entries.iter().take(MOST_ENTRIES).all(|&(at, _)| archive.expect_small(at).is_ok() && archive.read(at).is_ok())
}

//! Parsers of this crate for bytes of unknown origin, as fuzzing calls them: each says whether the bytes were accepted. Checksums are
//! left out: whoever means harm writes the right one.

use crate::graph::Graph;
use crate::manifest::Manifest;

/// What `index.json` says, without its checksum.
pub fn manifest(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Manifest>(bytes).is_ok_and(|manifest| manifest.check().is_ok())
}

/// The graph of approximate search: words of 32 bits, little-endian; what stands behind the last whole one is left out.
pub fn graph(bytes: &[u8]) -> bool {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    let words: Vec<u32> = bytes.chunks_exact(4).map(word).collect();
    Graph::of_words(&words).is_ok()
}

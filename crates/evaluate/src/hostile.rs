//! Every parser of this crate for bytes of unknown origin, as fuzzing calls them. Each says whether the bytes were accepted, as
//! vectors or as labels.

use crate::vectors::accepts;

/// A `.npy` file.
pub fn npy(bytes: &[u8]) -> bool {
    accepts("x.npy", bytes)
}

/// A `.npz` file.
pub fn npz(bytes: &[u8]) -> bool {
    accepts("x.npz", bytes)
}

/// A `.safetensors` file of vectors.
pub fn safetensors(bytes: &[u8]) -> bool {
    accepts("x.safetensors", bytes)
}

/// A table of vectors or labels in text.
pub fn csv(bytes: &[u8]) -> bool {
    accepts("x.csv", bytes)
}

/// A Parquet file. Its parser is another's, and panics on some damaged files; what it says then is caught.
pub fn parquet(bytes: &[u8]) -> bool {
    accepts("x.parquet", bytes)
}

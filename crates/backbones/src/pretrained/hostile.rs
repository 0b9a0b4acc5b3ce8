//! Every parser of this crate for bytes of unknown origin, as fuzzing calls them. Each says whether the bytes were accepted.

use super::{pth, tensors, weights_file};
use crate::EmbeddingNetConfig;
use std::path::Path;

/// A file of `torch.save`.
pub fn torch(bytes: &[u8]) -> bool {
    pth::read(bytes, &|names: &[&str]| names.len()).is_ok()
}

/// A `.safetensors` file of weights.
pub fn weights(bytes: &[u8]) -> bool {
    tensors::of_safetensors(bytes).is_ok()
}

/// The `config.json` of a network.
pub fn config(bytes: &[u8]) -> bool {
    weights_file::parse_config::<EmbeddingNetConfig>(Path::new("config.json"), bytes).is_ok()
}

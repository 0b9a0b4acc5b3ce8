//! Networks in folders: `config.json` and `model.safetensors`, as the Hub keeps them.

use super::weights_file::{self, CONFIG, one_line};
use crate::{EmbeddingNet, EmbeddingNetConfig, Error, Result};
use candle_core::{DType, Device};
use npair_types::Streams;
use std::path::Path;

impl EmbeddingNet {
    /// Writes `config.json` and `model.safetensors` to the folder, which is made if it is not there.
    ///
    /// Each file is written beside, flushed to the disk and renamed: whoever is interrupted leaves the old file.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        weights_file::write(dir, &self.varmap().tensors()?)?;
        let Some(config) = self.config() else { return Ok(()) };
        weights_file::write_config(dir, config)
    }

    /// Reads a network that [`Self::save`] wrote. The folder may come from anywhere: nothing in it is trusted.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read, [`Error::Content`] if it is damaged, from a newer version or of
    /// another architecture than `config.json` says.
    pub fn load(dir: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let config: EmbeddingNetConfig = weights_file::read_config(dir)?;
        // First values do not matter: all are replaced.
        let net = Self::new(config, Streams::new(0), dtype, device).map_err(|e| Error::Content {
            path: dir.join(CONFIG),
            cause: one_line(&e),
            cure: "correct the setting",
        })?;
        weights_file::load_into(dir, |weights| Ok(net.varmap().load(weights)?))?;
        Ok(net)
    }
}

/// The settings in `config.json` of a folder, without the weights.
///
/// # Errors
/// Those of [`EmbeddingNet::load`] that concern the file.
pub fn load_config(dir: impl AsRef<Path>) -> Result<EmbeddingNetConfig> {
    weights_file::read_config(dir.as_ref())
}

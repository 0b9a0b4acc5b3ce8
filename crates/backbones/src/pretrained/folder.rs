//! Networks in folders: `config.json` and `model.safetensors`, as the Hub keeps them.

use crate::{EmbeddingNet, Error, FORMAT, ModelConfig, Result};
use candle_core::{DType, Device};
use npair_types::Streams;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

pub(super) const CONFIG: &str = "config.json";
pub(super) const WEIGHTS: &str = "model.safetensors";

impl EmbeddingNet {
    /// Writes `config.json` and `model.safetensors` to the folder, which is made if it is not there.
    ///
    /// Each file is written beside, flushed to the disk and renamed: whoever is interrupted leaves the old file.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir).map_err(unwritable(dir))?;
        let weights = safetensors::serialize(self.params().tensors()?, None).map_err(|e| Error::Content {
            path: dir.join(WEIGHTS),
            cause: format!("the weights cannot be laid out: {e}"),
            cure: "report this with the config.json",
        })?;
        replace(&dir.join(WEIGHTS), &weights)?;
        let config = serde_json::to_vec_pretty(self.config()).map_err(|e| Error::Content {
            path: dir.join(CONFIG),
            cause: format!("the settings cannot be laid out: {e}"),
            cure: "give keys of `preprocess` and `extra` as strings",
        })?;
        replace(&dir.join(CONFIG), &config)
    }

    /// Reads a network that [`Self::save`] wrote. The folder may come from anywhere: nothing in it is trusted.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read, [`Error::Content`] if it is damaged, from a newer version or of
    /// another architecture than `config.json` says.
    pub fn load(dir: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let config = read_config(&dir.join(CONFIG))?;
        let path = dir.join(WEIGHTS);
        let bytes = fs::read(&path).map_err(unreadable(&path))?;
        let broken = |cause: String| Error::Content {
            path: path.clone(),
            cause,
            cure: "it is damaged: copy or download the file again, or take another checkpoint",
        };
        let weights = candle_core::safetensors::load_buffer(&bytes, device)
            .map_err(|e| broken(format!("no safetensors file ({})", one_line(&e))))?;
        // First values do not matter: all are replaced.
        let net = Self::new(config, Streams::new(0), dtype, device).map_err(|e| Error::Content {
            path: dir.join(CONFIG),
            cause: one_line(&e),
            cure: "correct the setting",
        })?;
        net.params().load(&weights).map_err(|e| Error::Content {
            path: path.clone(),
            cause: one_line(&e),
            cure: "take config.json and model.safetensors from the same run",
        })?;
        Ok(net)
    }
}

/// The settings in `config.json` of a folder, without the weights.
///
/// # Errors
/// Those of [`EmbeddingNet::load`] that concern the file.
pub fn load_config(dir: impl AsRef<Path>) -> Result<ModelConfig> {
    read_config(&dir.as_ref().join(CONFIG))
}

fn read_config(path: &Path) -> Result<ModelConfig> {
    let wrong = |cause: String, cure| Error::Content { path: path.to_owned(), cause, cure };
    let text = fs::read(path).map_err(unreadable(path))?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| wrong(format!("no JSON ({e})"), "restore the file"))?;
    // The version comes first: a newer file may well have keys that are unknown here.
    match value.get("format").and_then(serde_json::Value::as_u64) {
        None => Err(wrong("no whole number `format`".to_owned(), "give the folder of a network that npair saved")),
        Some(newer) if newer > u64::from(FORMAT) => {
            Err(wrong(format!("format {newer}, but this npair reads up to {FORMAT}"), "install a newer npair"))
        }
        Some(0) => Err(wrong("format 0, but the first is 1".to_owned(), "restore the file")),
        Some(_) => serde_json::from_value(value).map_err(|e| wrong(e.to_string(), "correct or remove the key")),
    }
}

/// Writes beside, flushes, renames.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("part");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The name itself is on the disk only once the folder is; not every system lets a folder be flushed.
        if let Some(folder) = path.parent().and_then(|dir| File::open(dir).ok()) {
            folder.sync_all().ok();
        }
        Ok(())
    };
    write().map_err(|e| {
        fs::remove_file(&beside).ok();
        unwritable(path)(e)
    })
}

pub(super) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let cure = "give the folder of a network that npair saved";
    move |source| Error::File { path: path.to_owned(), source, cure }
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let cure = "give a folder that can be written, on a disk with room";
    move |source| Error::File { path: path.to_owned(), source, cure }
}

/// The first line of a message: candle adds back traces to its own.
pub(super) fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

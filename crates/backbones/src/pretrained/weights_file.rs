//! `config.json` and `model.safetensors` of a folder: written beside and renamed, read without trust.

use crate::{Error, FORMAT, Result};
use candle_core::{Device, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

pub(super) const CONFIG: &str = "config.json";
pub(super) const WEIGHTS: &str = "model.safetensors";

/// Writes the tensors to `model.safetensors` of a folder, which is made if it is not there.
pub(crate) fn write(dir: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    fs::create_dir_all(dir).map_err(unwritable(dir))?;
    let path = dir.join(WEIGHTS);
    let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::Content {
        path: path.clone(),
        cause: format!("the weights cannot be laid out: {e}"),
        cure: "report this with the config.json",
    })?;
    replace(&path, &bytes)
}

/// Reads `model.safetensors` of a folder and hands the tensors over; what does not fit is said of the file.
pub(crate) fn load_into(dir: &Path, take: impl FnOnce(&HashMap<String, Tensor>) -> Result<()>) -> Result<()> {
    let path = dir.join(WEIGHTS);
    let bytes = read(&path, CURE)?;
    let wrong = |cause: String, cure| Error::Content { path: path.clone(), cause, cure };
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|e| {
        let cure = "it is damaged: copy or download the file again, or take another checkpoint";
        wrong(format!("no safetensors file ({})", one_line(&e)), cure)
    })?;
    take(&tensors).map_err(|e| wrong(one_line(&e), "take all files of a model from the same run"))
}

/// Writes the settings of a network to `config.json` of a folder.
pub(crate) fn write_config(dir: &Path, config: &impl Serialize) -> Result<()> {
    let path = dir.join(CONFIG);
    let text = serde_json::to_vec_pretty(config).map_err(|e| Error::Content {
        path: path.clone(),
        cause: format!("the settings cannot be laid out: {e}"),
        cure: "give keys of `preprocess` and `extra` as strings",
    })?;
    replace(&path, &text)
}

/// Reads the settings of a network from `config.json` of a folder.
pub(crate) fn read_config<C: DeserializeOwned>(dir: &Path) -> Result<C> {
    let path = dir.join(CONFIG);
    parse_config(&path, &read(&path, CURE)?)
}

/// The settings in the bytes of a `config.json`; `path` stands in errors.
pub(super) fn parse_config<C: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<C> {
    let wrong = |cause: String, cure| Error::Content { path: path.to_owned(), cause, cure };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| wrong(format!("no JSON ({e})"), "restore the file"))?;
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

/// What to do if a file of a network cannot be read.
pub(super) const CURE: &str = "give the folder of a network that npair saved";

/// Reads a file, if it is a regular one: a named pipe would be waited for without end.
pub(super) fn read(path: &Path, cure: &'static str) -> Result<Vec<u8>> {
    let fault = |source| Error::File { path: path.to_owned(), source, cure };
    if !fs::metadata(path).map_err(fault)?.is_file() {
        return Err(fault(std::io::Error::other("it is no regular file, and only those are opened")));
    }
    fs::read(path).map_err(fault)
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let cure = "give a folder that can be written, on a disk with room";
    move |source| Error::File { path: path.to_owned(), source, cure }
}

/// The first line of a message: candle adds back traces to its own.
pub(super) fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

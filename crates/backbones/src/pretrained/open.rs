//! From what the user names to the tensors in it: a file of any kind, its shards, a folder that holds one.

use super::assign::Names;
use super::tensors::{self, Content};
use super::{Hub, Weights, dlib, hub, pth, transformers, weights_file};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Weights in a folder, the best first: the Hub's own names, then those of a run of npair.
const IN_FOLDER: [&str; 7] = [
    weights_file::WEIGHTS,
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "checkpoints/best/model.safetensors",
    "checkpoints/last/model.safetensors",
    "best/model.safetensors",
];

/// Endings of files of weights.
pub(super) const TORCH: [&str; 6] = [".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".pkl"];

/// What a list of shards ends in.
pub(super) const INDEX: &str = ".index.json";

const DAMAGED: &str = "it is damaged or of another kind: download it again, or save a state dictionary";

/// The tensors of the weights; of several networks in a file that which has most of the `names`.
pub(super) fn read(weights: &Weights, hub: &Hub, names: &Names<'_>) -> Result<Content> {
    let mut content = as_they_are(weights, hub, names)?;
    let damaged = |e: candle_core::Error| Error::Weights {
        weights: weights.to_string(),
        cause: format!("its tensors do not have the shapes that their names promise ({e})"),
        cure: "download it again".to_owned(),
    };
    content.tensors = transformers::translate(content.tensors).and_then(dlib::translate).map_err(damaged)?;
    Ok(content)
}

/// The tensors by the names that they have there.
fn as_they_are(weights: &Weights, hub: &Hub, names: &Names<'_>) -> Result<Content> {
    let path = locate(weights, hub)?;
    let bytes = weights_file::read(&path, "give a folder, a .safetensors or a .pth file of a trained network")?;
    if !path.to_string_lossy().ends_with(INDEX) {
        return content(&path, &bytes, names);
    }
    let mut all = Content::default();
    for shard in shards(&path, &bytes)? {
        let file = match weights {
            Weights::Hub { repo, revision, .. } => hub::file(hub, weights, repo, revision, &shard)?,
            _ => path.with_file_name(&shard),
        };
        let bytes = weights_file::read(&file, "copy or download all shards that the index names")?;
        let part = content(&file, &bytes, names)?;
        all.tensors.extend(part.tensors);
        all.others.extend(part.others);
    }
    Ok(all)
}

/// The tensors of a file, whose content says what kind it is.
fn content(path: &Path, bytes: &[u8], names: &Names<'_>) -> Result<Content> {
    let wrong = |cause: String, cure| Error::Content { path: path.to_owned(), cause, cure };
    if bytes.starts_with(b"version https://git-lfs") {
        let cause = "it is a pointer of Git LFS, not the file itself".to_owned();
        return Err(wrong(cause, "fetch the content with `git lfs pull`, or download the file"));
    }
    let named = |ending: &str| path.to_string_lossy().to_lowercase().ends_with(ending);
    // A length of eight bytes, then JSON.
    if named(".safetensors") || (bytes.get(8) == Some(&b'{') && !TORCH.into_iter().any(named)) {
        return tensors::of_safetensors(bytes).map_err(|cause| wrong(cause, DAMAGED));
    }
    let score = |candidates: &[&str]| names.prefix(candidates.iter().copied()).1;
    pth::read(bytes, &score).map_err(|cause| wrong(cause, DAMAGED))
}

/// Names of the files that an index says the weights are in.
fn shards(path: &Path, bytes: &[u8]) -> Result<BTreeSet<String>> {
    let wrong = |cause: String| Error::Content { path: path.to_owned(), cause, cure: "download the index again" };
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(bytes).map_err(|e| wrong(format!("no list of shards ({e})")))?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    match files.iter().find(|file| !super::cache::is_plain(file)) {
        Some(odd) => Err(wrong(format!("it names the shard {odd:?}, which is no plain name of a file"))),
        None if files.is_empty() => Err(wrong("it names no shard".to_owned())),
        None => Ok(files),
    }
}

/// The file on this machine.
fn locate(weights: &Weights, hub: &Hub) -> Result<PathBuf> {
    match weights {
        Weights::Folder(path) => in_folder(weights, path),
        Weights::Safetensors(path) | Weights::Pth(path) => Ok(path.clone()),
        Weights::Hub { repo, revision, file } => {
            let first = hub::file(hub, weights, repo, revision, file);
            // Without a name: whatever a repository calls its weights.
            let others = if file == weights_file::WEIGHTS { &IN_FOLDER[1..4] } else { &[] };
            let absent = |e: &Error| e.to_string().contains("status 404") || hub.offline;
            match first {
                Err(e) if absent(&e) => {
                    let found = others.iter().find_map(|name| hub::file(hub, weights, repo, revision, name).ok());
                    found.ok_or(e)
                }
                first => first,
            }
        }
    }
}

/// The file of weights that a folder holds.
pub(super) fn in_folder(weights: &Weights, path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let fail = |cause: String, cure: String| Error::Weights { weights: weights.to_string(), cause, cure };
    if !path.exists() {
        let text = path.to_string_lossy();
        let like_hub =
            text.split('/').count() == 2 && text.split('/').all(super::cache::is_plain) && !path.is_absolute();
        let cure = match like_hub {
            true => format!("for the repository on the Hub write hub:{text}; else check the path"),
            false => "check the path; for a repository on the Hub write hub:OWNER/NAME".to_owned(),
        };
        return Err(fail("there is no such file or folder".to_owned(), cure));
    }
    if let Some(known) = IN_FOLDER.iter().map(|name| path.join(name)).find(|file| file.is_file()) {
        return Ok(known);
    }
    let unreadable = |source| Error::File { path: path.to_owned(), source, cure: "check the folder's permissions" };
    let mut there = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        there.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    there.sort();
    let is_weights = |name: &&String| {
        let name = name.to_lowercase();
        name.ends_with(".safetensors") || TORCH.iter().any(|ending| name.ends_with(ending))
    };
    match there.iter().filter(is_weights).collect::<Vec<_>>()[..] {
        [only] => Ok(path.join(only)),
        [] => {
            let some = there.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let cause =
                format!("the folder holds no weights; it has {}", if some.is_empty() { "nothing" } else { &some });
            Err(fail(cause, "give the folder of a network or a run, or the path of a file of weights".to_owned()))
        }
        [first, second, ..] => {
            let cause = format!("the folder holds several files of weights, {first} and {second} among them");
            Err(fail(cause, format!("name one: {}", path.join(first).display())))
        }
    }
}

use crate::{Error, Inputs, Result, TestTimeAugmentation};
use npair_backbones::EmbeddingModel;
use npair_types::ExampleId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The files of a model's folder that decide what it makes of an example.
const MODEL_FILES: [&str; 2] = ["config.json", "model.safetensors"];

/// What embeddings are of: rows of the same origin have the same bits, and one file may hold some of one run of a program and the
/// others of the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    program: String,
    /// SHA-256 of the files of the model.
    model: String,
    device: String,
    views: usize,
    rotations: usize,
    seed: u64,
    /// SHA-256 of what the examples are called and of their classes, in their order.
    list: String,
    pub(super) examples: usize,
    /// Examples that are embedded at a time.
    pub(super) chunk: usize,
}

impl Origin {
    /// Of examples, by a model that was read from a folder. That a picture was changed in its place is not seen.
    ///
    /// # Errors
    /// [`Error::File`] if the model's files cannot be read.
    pub fn new(
        (folder, model): (&Path, &dyn EmbeddingModel),
        inputs: &dyn Inputs,
        how: TestTimeAugmentation,
    ) -> Result<Self> {
        let (views, rotations, seed) = how.facts();
        Ok(Self {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            model: of_files(folder)?,
            device: format!("{:?}", model.device().location()),
            views,
            rotations,
            seed,
            list: of_list(inputs),
            examples: inputs.len(),
            chunk: inputs.chunk().max(1),
        })
    }

    /// What the first difference from another one is in; none if there is none.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let Self { program, model, device, views, rotations, seed, list, examples, chunk } = other;
        [
            (self.model == *model, "another model"),
            (self.list == *list && self.examples == *examples, "other examples"),
            ((self.views, self.rotations) == (*views, *rotations), "other settings of tta"),
            (self.seed == *seed, "another seed"),
            (self.device == *device, "another device"),
            (self.program == *program && self.chunk == *chunk, "another version of the program"),
        ]
        .into_iter()
        .find_map(|(same, what)| (!same).then_some(what))
    }
}

fn of_files(folder: &Path) -> Result<String> {
    let (mut sha, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    for path in MODEL_FILES.map(|name| folder.join(name)) {
        let unread = |e: std::io::Error| Error::file(&path, format!("cannot be read: {e}"));
        let mut file = File::open(&path).map_err(unread)?;
        loop {
            match file.read(&mut buffer).map_err(unread)? {
                0 => break,
                n => sha.update(&buffer[..n]),
            }
        }
    }
    Ok(hex(sha))
}

fn of_list(inputs: &dyn Inputs) -> String {
    let mut sha = Sha256::new();
    for (row, &class) in inputs.labels().as_slice().iter().enumerate() {
        // With their lengths: where one name ends is a part of the list.
        for text in [inputs.describe(ExampleId(row)), inputs.class_name(class)] {
            sha.update((text.len() as u64).to_le_bytes());
            sha.update(text);
        }
        sha.update(class.0.to_le_bytes());
    }
    hex(sha)
}

fn hex(sha: Sha256) -> String {
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

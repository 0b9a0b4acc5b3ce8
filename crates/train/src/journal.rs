use crate::{Error, Result, files};
use npair_evaluate::write_file;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `metrics.jsonl`: one JSON object per line, each with `kind` and `step`.
pub(crate) struct Journal {
    path: PathBuf,
    file: fs::File,
}

impl Journal {
    /// Opens the journal of a run that stands at `step`; lines of later steps, written before a kill, are dropped.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self> {
        if path.exists() {
            let text = files::read(path, "remove it to start a new one")?;
            let of =
                |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64()? <= step);
            let kept: String = text.lines().filter(|l| of(l).unwrap_or(false)).flat_map(|l| [l, "\n"]).collect();
            if kept != text {
                write_file(path, kept.as_bytes())?;
            }
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| Error::file(path, format!("cannot be opened: {e}; check permissions")))?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|e| Error::file(&self.path, e))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|e| Error::file(&self.path, format!("cannot be written: {e}")))
    }
}

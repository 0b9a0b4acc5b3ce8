use crate::event_file::EventFile;
use crate::{Error, Result, files};
use npair_evaluate::write_file;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `metrics.jsonl`: one JSON object per line, each with `kind` and `step`.
pub(crate) struct Journal {
    path: PathBuf,
    /// None for those who only count the lines.
    file: Option<fs::File>,
    lines: usize,
    /// The same for TensorBoard, if it is wanted.
    events: Option<EventFile>,
}

impl Journal {
    /// The last step that a journal tells of; 0 without any.
    pub(crate) fn last_step(path: &Path) -> u64 {
        let text = fs::read_to_string(path).unwrap_or_default();
        let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64();
        text.lines().rev().find_map(step).unwrap_or(0)
    }

    /// Opens the journal of a run that stands at `step`. What was written after that checkpoint, before a kill, is dropped: lines of
    /// later steps, and those behind the first `lines`, where the checkpoint knows how many there were.
    pub(crate) fn open(path: &Path, step: u64, lines: Option<usize>) -> Result<Self> {
        let mut count = 0;
        if path.exists() {
            let text = files::read(path, "remove it to start a new one")?;
            let of =
                |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64()? <= step);
            let old = text.lines().filter(|l| of(l).unwrap_or(false)).take(lines.unwrap_or(usize::MAX));
            let kept: String = old.inspect(|_| count += 1).flat_map(|l| [l, "\n"]).collect();
            if kept != text {
                write_file(path, kept.as_bytes())?;
            }
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| npair_evaluate::Error::unwritten(path, &e))?;
        Ok(Self { path: path.to_owned(), file: Some(file), lines: count, events: None })
    }

    /// The journal that another rank writes, of a run whose checkpoint knows of so many lines.
    pub(crate) fn of_another(path: &Path, lines: Option<usize>) -> Self {
        Self { path: path.to_owned(), file: None, lines: lines.unwrap_or(0), events: None }
    }

    /// Writes numbers to an event file as well.
    pub(crate) fn with_events(self, events: EventFile) -> Self {
        Self { events: Some(events), ..self }
    }

    /// How many lines it has.
    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let line = serde_json::to_value(line).map_err(|e| Error::file(&self.path, e))?;
        let text = format!("{line}\n");
        if let Some(file) = &mut self.file {
            file.write_all(text.as_bytes()).map_err(|e| npair_evaluate::Error::unwritten(&self.path, &e))?;
        }
        self.lines += 1;
        self.events.as_mut().map_or(Ok(()), |events| events.write(&line))
    }
}

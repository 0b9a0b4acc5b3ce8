//! `index.json`: which files make the index now. Replacing it is the one step that changes an index.

use crate::files::{self, FileRecord};
use crate::{Error, IndexSettings, RefinementTrial, Result};
use npair_metrics::Verifier;
use npair_types::Measure;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

pub(crate) const NAME: &str = "index.json";
/// Version of what is in the folder.
const FORMAT: u32 = 1;
/// The largest `index.json`, in bytes.
const LARGEST: u64 = 16 << 20;
/// Numbers that any database and any reader of JSON keeps.
const MOST: u64 = 1 << 53;

/// What `index.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// Counts changes; new files have it in their names.
    pub(crate) generation: u64,
    pub(crate) settings: IndexSettings,
    /// Rows that are not removed.
    pub(crate) rows: usize,
    /// The id of the next row.
    pub(crate) next_id: u64,
    pub(crate) segments: Vec<SegmentRecord>,
    pub(crate) removed: Option<RemovedRecord>,
    pub(crate) graph: Option<GraphRecord>,
    pub(crate) verifier: Option<Verifier>,
    /// What was tried to find more, on classes that the model has not learned from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trials: Vec<RefinementTrial>,
}

/// Rows that were written together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentRecord {
    pub(crate) rows: usize,
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
    pub(crate) vectors: FileRecord,
    pub(crate) table: FileRecord,
    pub(crate) thumbnails: Option<FileRecord>,
}

/// Ids in the segments that are no rows any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemovedRecord {
    pub(crate) ids: usize,
    pub(crate) file: FileRecord,
}

/// A graph for approximate search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GraphRecord {
    pub(crate) words: usize,
    pub(crate) file: FileRecord,
}

/// The file: what it says, and the checksum of that.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    index: Manifest,
    crc32: u32,
}

/// What is wrong with a verifier for vectors that are compared by a measure, if anything is.
pub(crate) fn of_measure(verifier: &Verifier, measure: Measure) -> Result<(), String> {
    if verifier.measure != measure {
        return Err(format!("its thresholds are of {}, but it compares by {measure}", verifier.measure));
    }
    verifier.check()
}

impl Manifest {
    pub(crate) fn new(settings: IndexSettings) -> Self {
        Self {
            format: FORMAT,
            generation: 0,
            settings,
            rows: 0,
            next_id: 1,
            segments: Vec::new(),
            removed: None,
            graph: None,
            verifier: None,
            trials: Vec::new(),
        }
    }

    /// Every file that is named.
    fn files(&self) -> impl Iterator<Item = (&'static str, &FileRecord)> {
        let of = |s: &'static str| move |file| (s, file);
        let segments = self.segments.iter().flat_map(move |s| {
            [("vectors", &s.vectors), ("rows", &s.table)].into_iter().chain(s.thumbnails.as_ref().map(of("thumbnails")))
        });
        let removed = self.removed.iter().map(|r| ("removed", &r.file));
        segments.chain(removed).chain(self.graph.iter().map(|g| ("graph", &g.file)))
    }

    /// Whether a file of this name is in use.
    pub(crate) fn names(&self) -> HashSet<&str> {
        self.files().map(|(_, file)| file.name.as_str()).collect()
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::file(&path, "is not there: give the folder of an index, or create one")
            }
            _ => Error::unread(&path, &e),
        })?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| Error::unread(&path, &e))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::damaged(&path, format!("has more than {LARGEST} bytes")));
        }
        // An index of a later program is no damaged one.
        let format = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
        match format.and_then(|json| json.pointer("/index/format")?.as_u64()) {
            Some(format) if format > u64::from(FORMAT) => {
                return Err(Error::file(
                    &path,
                    format!("is of format {format}, but this program knows {FORMAT}: update it"),
                ));
            }
            _ => {}
        }
        let sealed: Sealed = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&path, e))?;
        if crc32fast::hash(&sealed.index.json(&path)?) != sealed.crc32 {
            return Err(Error::damaged(&path, "is not what was written (its checksum differs)"));
        }
        sealed.index.check().map_err(|why| Error::damaged(&path, why))?;
        Ok(sealed.index)
    }

    fn json(&self, path: &Path) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::damaged(path, e))
    }

    /// Puts this in the place of the old one, in one step.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let (path, beside) = (folder.join(NAME), folder.join("index.json.new"));
        let crc32 = crc32fast::hash(&self.json(&path)?);
        let sealed = Sealed { index: self.clone(), crc32 };
        let text = serde_json::to_vec_pretty(&sealed).map_err(|e| Error::unwritten(&path, e))?;
        let _ = fs::remove_file(&beside);
        let written = || -> std::io::Result<()> {
            let mut file = File::create_new(&beside)?;
            file.write_all(&text)?;
            file.sync_all()
        };
        written().map_err(|e| Error::unwritten(&beside, e))?;
        // The names of all new files first: what `index.json` says has to be there.
        files::sync_folder(folder)?;
        fs::rename(&beside, &path).map_err(|e| Error::unwritten(&path, e))?;
        files::sync_folder(folder)
    }

    /// What cannot be, whoever wrote it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("is of format {}, but has to be of {FORMAT}", self.format));
        }
        self.settings.check().map_err(|e| e.to_string())?;
        self.verifier.as_ref().map_or(Ok(()), |verifier| of_measure(verifier, self.settings.measure))?;
        if self.generation > MOST || self.next_id > MOST {
            return Err("counts too far".to_owned());
        }
        for (kind, file) in self.files() {
            if files::generation_of(kind, &file.name).is_none_or(|generation| generation > self.generation) {
                return Err(format!("names the file {:?}", file.name));
            }
        }
        if self.names().len() != self.files().count() {
            return Err("names a file twice".to_owned());
        }
        let mut next = 1;
        for segment in &self.segments {
            let own = segment
                .last_id
                .checked_sub(segment.first_id)
                .is_some_and(|more| more >= (segment.rows as u64).saturating_sub(1));
            if segment.rows == 0 || segment.first_id < next || !own || segment.last_id >= self.next_id {
                return Err("has segments whose ids do not ascend".to_owned());
            }
            next = segment.last_id + 1;
        }
        let written = self.segments.iter().try_fold(0usize, |sum, s| sum.checked_add(s.rows));
        let left = written.and_then(|rows| rows.checked_sub(self.removed.as_ref().map_or(0, |removed| removed.ids)));
        if left == Some(self.rows) { Ok(()) } else { Err("counts rows that are not in its segments".to_owned()) }
    }
}

//! The split of a run, written when it begins: which example was on which side, by content. What was trained on is known by it,
//! whatever it is called later and whatever has been added beside it.

mod compare;
mod content;

pub(crate) use compare::compare;
pub use content::ContentId;

use crate::{Error, Result};
use content::Stamp;
use npair_data::Dataset;
use npair_types::{ClassId, ExampleId};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of a run's folder that holds its split.
pub(crate) const FILE: &str = "split.csv";

/// What the last line of the file begins with, before the checksum of all others.
const SUM: &str = "# crc32 ";

/// A side of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Learned from.
    Train,
    /// Unseen classes that the best checkpoint was chosen by.
    Val,
    /// Examples of training classes that were kept back.
    Seen,
    /// Kept for the end.
    Test,
}

/// An example as it was when a run began: a line of `split.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Its side.
    pub side: Side,
    /// The id of its class, which the run knows it by.
    pub label: ClassId,
    /// The name of its class.
    pub class: String,
    /// What it is.
    pub content: ContentId,
    /// What it was called: a path, an entry, a row.
    pub name: String,
    stamp: Stamp,
}

/// A row in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    split: Side,
    label: u32,
    class: String,
    content: String,
    size: u64,
    modified: u64,
    example: String,
}

/// What to do about a file that cannot be used.
const CURE: &str = "it is the split of the run: put the file back";

/// The split of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitRecord {
    rows: Vec<RecordRow>,
}

impl SplitRecord {
    /// The examples of a data set with their sides, in their order.
    ///
    /// # Errors
    /// The first example that cannot be read.
    pub(crate) fn new(data: &dyn Dataset, content: &Content<'_>, sides: &[(ExampleId, Side)]) -> Result<Self> {
        let row = |&(example, side): &(ExampleId, Side)| {
            Ok(RecordRow {
                side,
                label: data.labels().get(example.0),
                class: data.class_name(data.labels().get(example.0)),
                content: content(example)?,
                name: data.describe(example),
                stamp: data.file(example).and_then(Stamp::of).unwrap_or_default(),
            })
        };
        Ok(Self { rows: sides.par_iter().map(row).collect::<Result<_>>()? })
    }

    /// The examples, in the order of the data set.
    pub fn rows(&self) -> &[RecordRow] {
        &self.rows
    }

    /// Examples whose bytes also stand on a side nearer to training: the two rows, the nearer first.
    pub fn leaks(&self) -> Vec<(&RecordRow, &RecordRow)> {
        let mut first: std::collections::HashMap<ContentId, &RecordRow> = std::collections::HashMap::new();
        for row in &self.rows {
            let known = first.entry(row.content).or_insert(row);
            if row.side < known.side {
                *known = row;
            }
        }
        let with_first = |row: &'_ RecordRow| first.get(&row.content).copied();
        self.rows
            .iter()
            .filter_map(|row| Some((with_first(row)?, row)))
            .filter(|(one, row)| one.side != row.side)
            .collect()
    }

    /// The side that every picture of a data set was on, by its content, whatever it is called now; none of what the run did not have.
    pub fn sides_of(&self, pictures: &dyn Dataset) -> Vec<Option<Side>> {
        compare(self, pictures, &|example| ContentId::of_picture(pictures, example)).sides()
    }

    /// The text of its file.
    pub(crate) fn to_csv(&self) -> Result<Vec<u8>> {
        let path = Path::new(FILE);
        let mut csv = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            let line = Line {
                split: row.side,
                label: row.label.0,
                class: row.class.clone(),
                content: row.content.to_string(),
                size: row.stamp.size,
                modified: row.stamp.modified,
                example: row.name.clone(),
            };
            csv.serialize(line).map_err(|e| Error::file(path, e))?;
        }
        let mut bytes = csv.into_inner().map_err(|e| Error::file(path, e.to_string()))?;
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(format!("{SUM}{sum:08x}\n").as_bytes());
        Ok(bytes)
    }

    /// Reads the split of a run's folder; none if the run has none (it is of an earlier release, or of the built-in set).
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let cannot = |e| Error::file(&path, format!("cannot be read: {e}; {CURE}"));
        let text = std::fs::read_to_string(&path).map_err(cannot)?;
        Self::parse(&path, &text).map(Some)
    }

    /// Reads the text of its file, which is or would be at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |why: String| Error::file(path, format!("{why}; {CURE}"));
        let whole = text.rfind(SUM).map(|at| (&text[..at], text[at + SUM.len()..].trim()));
        let Some((rows, _)) = whole.filter(|(rows, sum)| format!("{:08x}", crc32fast::hash(rows.as_bytes())) == *sum)
        else {
            return Err(wrong("is not what was written (its checksum differs)".to_owned()));
        };
        let mut csv = csv::Reader::from_reader(rows.as_bytes());
        let row = |line: csv::Result<Line>| {
            let line = line.map_err(|e| wrong(format!("is damaged: {e}")))?;
            let content = line.content.parse().map_err(|why| wrong(format!("is damaged: {why}")))?;
            let stamp = Stamp { size: line.size, modified: line.modified };
            let label = ClassId(line.label);
            Ok(RecordRow { side: line.split, label, class: line.class, content, name: line.example, stamp })
        };
        Ok(Self { rows: csv.deserialize().map(row).collect::<Result<_>>()? })
    }
}

/// What an example is, by its number.
pub(crate) type Content<'a> = dyn Fn(ExampleId) -> Result<ContentId> + Sync + 'a;

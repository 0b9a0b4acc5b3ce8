//! Rows that were written together: vectors, a table, and thumbnails if there are any.

use crate::files::{self, Sink};
use crate::manifest::SegmentRecord;
use crate::row::{IndexRow, first_unfit};
use crate::table::{self, Expected};
use crate::thumbnails::{self, Place, Thumbnail};
use crate::{Error, Result, tensor};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// A row that is about to be written.
pub(super) struct Draft<'a> {
    pub(super) row: IndexRow,
    pub(super) vector: &'a [f32],
    pub(super) thumbnail: Thumbnail<'a>,
}

/// Writes a segment of these rows, at least one; where their thumbnails lie now.
pub(super) fn write(folder: &Path, generation: u64, drafts: &mut [Draft]) -> Result<SegmentRecord> {
    let (rows, width) = (drafts.len(), drafts.first().map_or(0, |draft| draft.vector.len()));
    let shown: Vec<Thumbnail> = drafts.iter().map(|draft| draft.thumbnail).collect();
    let (packed, places): (_, Vec<Option<Place>>) = thumbnails::write(folder, generation, &shown)?;
    drafts.iter_mut().zip(places).for_each(|(draft, place)| draft.row.thumbnail = place);
    let sink = Sink::new(folder, files::name("vectors", generation))?;
    let vectors = tensor::write(sink, "vectors", &[rows, width], drafts.iter().map(|draft| draft.vector))?;
    let known: Vec<IndexRow> = drafts.iter().map(|draft| draft.row.clone()).collect();
    let table = table::write(folder, generation, &known)?;
    let (first_id, last_id) = (known.first().map_or(0, |row| row.id), known.last().map_or(0, |row| row.id));
    Ok(SegmentRecord { rows, first_id, last_id, vectors, table, thumbnails: packed })
}

/// Reads a segment: its rows, and its vectors behind those that were read before.
pub(super) fn read(
    folder: &Path,
    width: usize,
    record: &SegmentRecord,
    classes: &mut HashSet<Arc<str>>,
    vectors: &mut Vec<f32>,
) -> Result<Vec<IndexRow>> {
    let before = vectors.len();
    // First: the size of this file bounds what the number of rows may be.
    tensor::read(folder, &record.vectors, "vectors", &[record.rows, width], vectors)?;
    if let Some((at, why)) = first_unfit(&vectors[before..], width) {
        return Err(Error::damaged(&folder.join(&record.vectors.name), format!("row {at} {why}")));
    }
    let packed = record.thumbnails.as_ref();
    if let Some(file) = packed {
        // Its pictures are read and checked one by one.
        files::Source::open(folder, file)?;
    }
    let want = Expected {
        generation: packed.and_then(|file| files::generation_of("thumbnails", &file.name)).unwrap_or(0),
        rows: record.rows,
        ids: (record.first_id, record.last_id),
        thumbnails: packed.map_or(0, |file| file.bytes),
    };
    table::read(folder, &record.table, &want, classes)
}

//! What is known of the rows of a segment beside their vectors, as a Parquet file.

use crate::files::{self, FileRecord, Sink};
use crate::parquet_file::{self as file, Columns, Read, Written};
use crate::row::{IndexRow, LARGEST, check_name};
use crate::thumbnails::Place;
use crate::{Error, Result};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::writer::SerializedRowGroupWriter;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The columns. Where a thumbnail lies, and its checksum, are those of the packed file of the same generation.
const SCHEMA: &str = "message rows {
    REQUIRED INT64 id (INTEGER(64,false));
    REQUIRED BYTE_ARRAY path (STRING);
    OPTIONAL BYTE_ARRAY class (STRING);
    REQUIRED INT64 added;
    OPTIONAL INT64 thumbnail_at;
    OPTIONAL INT32 thumbnail_bytes;
    OPTIONAL INT32 thumbnail_crc32 (INTEGER(32,false));
}";

/// Writes rows in their order.
pub(crate) fn write(folder: &Path, generation: u64, rows: &[IndexRow]) -> Result<FileRecord> {
    let mut sink = Sink::new(folder, files::name("rows", generation))?;
    let written = file::write(&mut sink, SCHEMA, rows.len(), |group, range| put(group, &rows[range]));
    written.map_err(|e| Error::unwritten(sink.path(), e))?;
    sink.finish()
}

/// The columns that every table of rows begins with: id, path, class, time.
pub(crate) fn put_rows(group: &mut SerializedRowGroupWriter<&mut Sink>, rows: &[IndexRow]) -> Written<()> {
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let ids: Vec<i64> = rows.iter().map(|row| row.id as i64).collect();
    file::put::<Int64Type, _>(group, &ids, None, None)?;
    let paths: Vec<ByteArray> = rows.iter().map(|row| text(&row.path)).collect();
    file::put::<ByteArrayType, _>(group, &paths, None, None)?;
    let (classes, named) = some(rows, |row| row.class.as_deref().map(text));
    file::put::<ByteArrayType, _>(group, &classes, Some(&named), None)?;
    let added: Vec<i64> = rows.iter().map(|row| row.added as i64).collect();
    file::put::<Int64Type, _>(group, &added, None, None)
}

fn put(group: &mut SerializedRowGroupWriter<&mut Sink>, rows: &[IndexRow]) -> Written<()> {
    put_rows(group, rows)?;
    let (at, shown) = some(rows, |row| row.thumbnail.map(|place| place.at as i64));
    file::put::<Int64Type, _>(group, &at, Some(&shown), None)?;
    let (bytes, shown) = some(rows, |row| row.thumbnail.map(|place| place.bytes as i32));
    file::put::<Int32Type, _>(group, &bytes, Some(&shown), None)?;
    let (sums, shown) = some(rows, |row| row.thumbnail.map(|place| place.crc32 as i32));
    file::put::<Int32Type, _>(group, &sums, Some(&shown), None)
}

/// The values that there are, and for every row whether there is one.
fn some<T>(rows: &[IndexRow], of: impl Fn(&IndexRow) -> Option<T>) -> (Vec<T>, Vec<i16>) {
    let all: Vec<Option<T>> = rows.iter().map(of).collect();
    let defined = all.iter().map(|value| i16::from(value.is_some())).collect();
    (all.into_iter().flatten().collect(), defined)
}

/// What the table of a segment has to hold.
pub(crate) struct Expected {
    pub(crate) generation: u64,
    pub(crate) rows: usize,
    /// The first and the last id.
    pub(crate) ids: (u64, u64),
    /// Bytes of the file of thumbnails; 0 without one.
    pub(crate) thumbnails: u64,
}

/// Reads rows as they were written; `classes` holds each name of a class once.
pub(crate) fn read(
    folder: &Path,
    record: &FileRecord,
    want: &Expected,
    classes: &mut HashSet<Arc<str>>,
) -> Result<Vec<IndexRow>> {
    file::read(&folder.join(&record.name), files::read(folder, record)?, |columns| {
        columns.expect(SCHEMA)?;
        if columns.rows() != want.rows {
            return Err(format!("it has {} rows, but {} were written", columns.rows(), want.rows));
        }
        let mut rows = Vec::new();
        for group in 0..columns.groups() {
            take(columns, group, want, classes, &mut rows)?;
        }
        check(&rows, want)?;
        Ok(rows)
    })
}

/// Appends the rows of a group.
fn take(
    columns: &Columns,
    group: usize,
    want: &Expected,
    classes: &mut HashSet<Arc<str>>,
    rows: &mut Vec<IndexRow>,
) -> Read<()> {
    let n = columns.rows_of(group);
    let ids = all::<Int64Type>(columns, group, 0, n)?;
    let paths = all::<ByteArrayType>(columns, group, 1, n)?;
    let named = options::<ByteArrayType>(columns, group, 2, n)?;
    let added = all::<Int64Type>(columns, group, 3, n)?;
    let at = options::<Int64Type>(columns, group, 4, n)?;
    let bytes = options::<Int32Type>(columns, group, 5, n)?;
    let sums = options::<Int32Type>(columns, group, 6, n)?;
    for i in 0..n {
        let class = match &named[i] {
            Some(class) => Some(interned(classes, name(class, "class")?)),
            None => None,
        };
        let thumbnail = match (at[i], bytes[i], sums[i]) {
            (None, None, None) => None,
            (Some(at), Some(bytes), Some(crc32)) => Some(place(want, at, bytes, crc32)?),
            _ => return Err("a thumbnail is named by half".to_owned()),
        };
        let path = Arc::from(name(&paths[i], "path")?);
        let added = u64::try_from(added[i]).map_err(|_| "a time is negative".to_owned())?;
        rows.push(IndexRow { id: ids[i] as u64, path, class, added, thumbnail });
    }
    Ok(())
}

fn name<'a>(bytes: &'a ByteArray, what: &str) -> Read<&'a str> {
    let name = std::str::from_utf8(bytes.data()).map_err(|_| format!("a {what} is no UTF-8"))?;
    check_name(name).map_err(|why| format!("a {what} {why}"))?;
    Ok(name)
}

/// The one copy of a class's name.
pub(crate) fn interned(classes: &mut HashSet<Arc<str>>, class: &str) -> Arc<str> {
    if let Some(known) = classes.get(class) {
        return known.clone();
    }
    let class: Arc<str> = Arc::from(class);
    classes.insert(class.clone());
    class
}

fn place(want: &Expected, at: i64, bytes: i32, crc32: i32) -> Read<Place> {
    let inside = |at: u64, bytes: u32| at.checked_add(u64::from(bytes)).is_some_and(|end| end <= want.thumbnails);
    match (u64::try_from(at), u32::try_from(bytes)) {
        (Ok(at), Ok(bytes)) if inside(at, bytes) && bytes as usize <= LARGEST => {
            Ok(Place { generation: want.generation, at, bytes, crc32: crc32 as u32 })
        }
        _ => Err(format!("a thumbnail lies at {at} with {bytes} bytes, outside its file")),
    }
}

/// Ids ascend from the first to the last that were written, and no path is there twice.
fn check(rows: &[IndexRow], want: &Expected) -> Read<()> {
    let (first, last) = (rows.first().map_or(0, |row| row.id), rows.last().map_or(0, |row| row.id));
    if rows.len() != want.rows || (first, last) != want.ids || !rows.is_sorted_by(|a, b| a.id < b.id) {
        return Err("its ids do not ascend as they were written".to_owned());
    }
    let mut paths = HashSet::with_capacity(rows.len());
    match rows.iter().find(|row| !paths.insert(&*row.path)) {
        Some(row) => Err(format!("the path {:?} is there twice", row.path)),
        None => Ok(()),
    }
}

/// A column with a value in every row.
pub(crate) fn all<T: DataType>(columns: &Columns, group: usize, column: usize, rows: usize) -> Read<Vec<T::T>> {
    let read = columns.read::<T>(group, column, rows)?;
    match read.values.len() == rows {
        true => Ok(read.values),
        false => Err(format!("column {column} has {} values for {rows} rows", read.values.len())),
    }
}

/// A column that may have no value in a row.
pub(crate) fn options<T: DataType>(
    columns: &Columns,
    group: usize,
    column: usize,
    rows: usize,
) -> Read<Vec<Option<T::T>>> {
    let read = columns.read::<T>(group, column, rows)?;
    let most = columns.kind::<T>(column).1;
    let defined = read.defined.iter().filter(|level| **level == most).count();
    if most == 0 && read.values.len() == rows {
        return Ok(read.values.into_iter().map(Some).collect());
    }
    if read.defined.len() != rows || defined != read.values.len() {
        return Err(format!("column {column} has {} values for {rows} rows", read.defined.len()));
    }
    let mut values = read.values.into_iter();
    Ok(read.defined.iter().map(|level| if *level == most { values.next() } else { None }).collect())
}

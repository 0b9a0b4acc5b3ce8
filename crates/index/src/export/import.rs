use crate::parquet_file::{self as file, Columns, Read};
use crate::row::{NewRow, check_name};
use crate::table::options;
use crate::{Error, Result};
use npair_similarity::Rows;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use std::path::Path;

/// Rows and vectors of a file, ready to be added to an index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// Path, class and time of every row.
    pub rows: Vec<(String, Option<String>, u64)>,
    /// All vectors, one after the other.
    pub vectors: Vec<f32>,
    /// Values of a vector (D).
    pub width: usize,
}

impl Imported {
    /// The rows as [`Index::add`](crate::Index::add) takes them.
    pub fn new_rows(&self) -> Vec<NewRow<'_>> {
        let new = self.rows.iter();
        new.map(|(path, class, added)| NewRow { path, class: class.as_deref(), added: *added, thumbnail: None })
            .collect()
    }

    /// The vectors (rows, D).
    ///
    /// # Errors
    /// If the fields were changed and no longer fit.
    pub fn vectors(&self) -> Result<Rows<'_, f32>> {
        Ok(Rows::new(&self.vectors, self.width)?)
    }
}

/// Reads rows and vectors of a Parquet file: a column `path` of texts, a column `vector` of lists of floats (32 or 64 bits, narrowed to
/// 32), and `class` and `added` if they are there. Ids are not taken over: those of an index are its own.
///
/// # Errors
/// [`Error::File`] if a column is missing or of another kind, lists differ in length, or values are not finite.
pub fn import_parquet(path: &Path) -> Result<Imported> {
    let bytes = std::fs::read(path).map_err(|e| Error::unread(path, &e))?;
    file::read(path, bytes, |columns| {
        let mut all = Imported::default();
        for group in 0..columns.groups() {
            let n = columns.rows_of(group);
            let paths = texts(columns, group, "path", n)?.ok_or("it has no column `path`")?;
            let classes = texts(columns, group, "class", n)?.unwrap_or_else(|| vec![None; n]);
            let added = times(columns, group, n)?;
            for ((path, class), added) in paths.into_iter().zip(classes).zip(added) {
                all.rows.push((path.ok_or("a path is missing")?, class, added));
            }
            let at = columns.find(&["vector"]).ok_or("it has no column `vector`")?;
            match columns.kind::<FloatType>(at).0 {
                true => lists::<FloatType>(columns, group, at, &mut all, |&v| v)?,
                false => lists::<DoubleType>(columns, group, at, &mut all, |&v| v as f32)?,
            }
        }
        match all.rows.is_empty() {
            true => Err("it has no rows".to_owned()),
            false => Ok(all),
        }
    })
}

fn texts(columns: &Columns, group: usize, name: &str, rows: usize) -> Read<Option<Vec<Option<String>>>> {
    let Some(at) = columns.find(&[name]) else { return Ok(None) };
    let text = |bytes: ByteArray| -> Read<String> {
        let text = std::str::from_utf8(bytes.data()).map_err(|_| format!("a {name} is no UTF-8"))?;
        check_name(text).map_err(|why| format!("a {name} {why}"))?;
        Ok(text.to_owned())
    };
    let found = options::<ByteArrayType>(columns, group, at, rows)?;
    found.into_iter().map(|value| value.map(text).transpose()).collect::<Read<Vec<_>>>().map(Some)
}

fn times(columns: &Columns, group: usize, rows: usize) -> Read<Vec<u64>> {
    let Some(at) = columns.find(&["added"]) else { return Ok(vec![0; rows]) };
    let time = |time: Option<i64>| u64::try_from(time.unwrap_or(0)).map_err(|_| "a time is negative".to_owned());
    options::<Int64Type>(columns, group, at, rows)?.into_iter().map(time).collect()
}

/// Appends the lists of a group, each as long as the first one of all.
fn lists<T: DataType>(
    columns: &Columns,
    group: usize,
    column: usize,
    all: &mut Imported,
    narrow: impl Fn(&T::T) -> f32,
) -> Read<()> {
    let rows = columns.rows_of(group);
    let read = columns.read::<T>(group, column, rows.saturating_mul(crate::settings::WIDEST))?;
    let (_, most, deep) = columns.kind::<T>(column);
    if deep != 1 || read.defined.iter().any(|level| *level != most) || read.repeated.len() != read.values.len() {
        return Err("the column `vector` needs a list of numbers in every row, none of them missing".to_owned());
    }
    let mut starts: Vec<usize> = (0..read.values.len()).filter(|&i| read.repeated[i] == 0).collect();
    starts.push(read.values.len());
    if all.width == 0 {
        all.width = starts.get(1).copied().unwrap_or(0);
    }
    if starts.len() != rows + 1 || starts.windows(2).any(|pair| pair[1] - pair[0] != all.width) {
        return Err(format!("the column `vector` has lists of several lengths, {} and others", all.width));
    }
    let before = all.vectors.len();
    all.vectors.extend(read.values.iter().map(narrow));
    match all.vectors[before..].iter().position(|v| !v.is_finite()) {
        Some(at) => Err(format!("row {} of its vectors is not finite", (before + at) / all.width)),
        None => Ok(()),
    }
}

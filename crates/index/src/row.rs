use crate::thumbnails::Place;
use crate::{Error, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// The longest path or class, in bytes.
pub(crate) const LONGEST: usize = 4096;
/// The largest thumbnail, in bytes.
pub(crate) const LARGEST: usize = 1 << 20;

/// A row to be added; its vector comes beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewRow<'a> {
    /// What the row is found by: a path or any other name. A row of the same path is replaced.
    pub path: &'a str,
    /// Its class, if known. Pictures added under a class enrol it.
    pub class: Option<&'a str>,
    /// When it is added, in seconds since 1970: libraries read no clock.
    pub added: u64,
    /// A small picture as a file's bytes (JPEG, PNG), at most 1 MiB; it is kept as it is.
    pub thumbnail: Option<&'a [u8]>,
}

/// A row of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Its number, which no other row of this index ever had or gets.
    pub id: u64,
    /// What it was added as; no two rows share it.
    pub path: Arc<str>,
    /// Its class, if known.
    pub class: Option<Arc<str>>,
    /// When it was added, in seconds since 1970.
    pub added: u64,
    pub(crate) thumbnail: Option<Place>,
}

/// Which rows are meant: those that are searched, or removed.
#[derive(Clone, Copy, Default)]
pub enum RowFilter<'a> {
    /// All.
    #[default]
    All,
    /// Those with one of these ids; ids that are not there are passed over.
    Ids(&'a [u64]),
    /// Those with one of these paths; paths that are not there are passed over.
    Paths(&'a [&'a str]),
    /// Those of a class.
    Class(&'a str),
    /// Those of which this is true.
    Where(&'a dyn Fn(&IndexRow) -> bool),
}

impl RowFilter<'_> {
    /// Positions of the rows that are meant, ascending.
    pub(crate) fn positions(&self, rows: &[IndexRow]) -> Vec<usize> {
        let of = |keep: &dyn Fn(&IndexRow) -> bool| (0..rows.len()).filter(|&i| keep(&rows[i])).collect();
        match *self {
            Self::All => (0..rows.len()).collect(),
            Self::Ids(ids) => {
                let mut found: Vec<usize> =
                    ids.iter().filter_map(|id| rows.binary_search_by_key(id, |row| row.id).ok()).collect();
                found.sort_unstable();
                found.dedup();
                found
            }
            Self::Paths(paths) => {
                let paths: HashSet<&str> = paths.iter().copied().collect();
                of(&|row| paths.contains(&*row.path))
            }
            Self::Class(class) => of(&|row| row.class.as_deref() == Some(class)),
            Self::Where(keep) => of(keep),
        }
    }
}

impl std::fmt::Debug for RowFilter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Ids(ids) => f.debug_tuple("Ids").field(ids).finish(),
            Self::Paths(paths) => f.debug_tuple("Paths").field(paths).finish(),
            Self::Class(class) => f.debug_tuple("Class").field(class).finish(),
            Self::Where(_) => f.write_str("Where(..)"),
        }
    }
}

/// An error unless a path or class is a name: not empty, not too long, and without the character 0, which databases refuse.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("is empty".to_owned()),
        n if n > LONGEST => Err(format!("has {n} bytes, but at most {LONGEST} are allowed")),
        _ if name.contains('\0') => Err("holds the character 0".to_owned()),
        _ => Ok(()),
    }
}

/// An error unless rows may be added together.
pub(crate) fn check_new(new: &[NewRow]) -> Result<()> {
    let mut paths = HashSet::with_capacity(new.len());
    for (at, row) in new.iter().enumerate() {
        let wrong = |what: &str, why: String| Error::setting("rows", format!("the {what} of new row {at} {why}"));
        check_name(row.path).map_err(|why| wrong("path", why))?;
        row.class.map_or(Ok(()), check_name).map_err(|why| wrong("class", why))?;
        if i64::try_from(row.added).is_err() {
            return Err(wrong("time", "is beyond 63 bits: give seconds since 1970".to_owned()));
        }
        if let Some(bytes) = row.thumbnail.map(<[u8]>::len).filter(|bytes| *bytes > LARGEST) {
            return Err(wrong(
                "thumbnail",
                format!("has {bytes} bytes, but at most {LARGEST} are allowed: scale it down"),
            ));
        }
        if !paths.insert(row.path) {
            return Err(wrong("path", format!("is that of an earlier one, {:?}: give each path once", row.path)));
        }
    }
    Ok(())
}

/// The longest vector: products of two, and squares of their distances, are far from the end of f32.
const LONGEST_VECTOR: f64 = 1e18;

/// The first vector that no search could compare, and why.
pub(crate) fn first_unfit(values: &[f32], width: usize) -> Option<(usize, &'static str)> {
    let unfit = |row: &[f32]| {
        let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        match square {
            square if square <= LONGEST_VECTOR * LONGEST_VECTOR => None,
            square if square.is_finite() => Some("is longer than 1e18"),
            // Squares of finite f32 are finite in f64.
            _ => Some("is not finite (NaN or infinity)"),
        }
    };
    values.chunks_exact(width).enumerate().find_map(|(at, row)| unfit(row).map(|why| (at, why)))
}

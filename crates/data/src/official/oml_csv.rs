use super::listed::{ClassEntry, Crop, Entry, Listed, listed_dataset};
use super::listing::inside;
use crate::{Error, OfficialSide, Result};
use csv::StringRecord;
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const REQUIRED: [&str; 5] = ["label", "path", "split", "is_query", "is_gallery"];

const BOX: [&str; 4] = ["x_1", "x_2", "y_1", "y_2"];

const CURE: &str =
    "correct the table: columns label, path, split, is_query, is_gallery, and if you like category, x_1, x_2, y_1, y_2";

/// A table of pictures in the format of open-metric-learning.
///
/// Columns, in any order: `label`, a whole number; `path`, absolute or below the table's folder; `split`, `train` or `validation`;
/// `is_query` and `is_gallery`, `True`/`1` or `False`/`0` for validation and empty for training. Optional: `category`, the group
/// of a class; `x_1`, `x_2`, `y_1`, `y_2` (left, right, top, bottom, in pixels, or all empty), the part of the picture that is
/// meant. Other columns are passed over. Its validation rows are the test side of the official split: rows that are query and
/// gallery are searched for among all others; validation rows that are neither are left out.
///
/// # Source
/// The documentation of open-metric-learning, "Dataset format". Its own tables of CUB and Cars have the split for classification,
/// with every class on both sides.
#[derive(Debug)]
pub struct OmlCsv {
    listed: Listed,
}

impl OmlCsv {
    /// Reads the table; opens no picture.
    ///
    /// # Errors
    /// [`Error::Dataset`] naming the line that does not fit: a column missing, ragged, a value that is none of the allowed ones, a
    /// label of two categories, a path that climbs out.
    pub fn open(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let name = file.display().to_string();
        let mut reader = csv::Reader::from_path(file).map_err(|e| unreadable(&name, e))?;
        let table = Table::of(
            &name,
            file.parent().unwrap_or(Path::new("")),
            reader.headers().map_err(|e| unreadable(&name, e))?,
        )?;
        let (mut entries, mut classes, mut neither) = (Vec::new(), BTreeMap::<ClassId, ClassEntry>::new(), 0);
        for record in reader.records() {
            let record = record.map_err(|e| unreadable(&name, e))?;
            let row = Row { table: &table, line: record.position().map_or(0, csv::Position::line), record: &record };
            let Some(side) = row.side()? else {
                neither += 1;
                continue;
            };
            let class = row.class()?;
            let group = row.text("category").filter(|c| !is_empty(c)).map(str::to_owned);
            let entry = || ClassEntry { name: format!("label {class}"), group: group.clone() };
            let known = classes.entry(class).or_insert_with(entry);
            if known.group != group {
                let said = |g: &Option<String>| g.clone().unwrap_or_else(|| "none".to_owned());
                let why =
                    format!("has label {class} of category {}, a line above {}", said(&group), said(&known.group));
                return Err(row.wrong(why));
            }
            entries.push(Entry { path: row.path()?, class, side, crop: row.crop()? });
        }
        if entries.is_empty() {
            return Err(Error::dataset(name, "has no rows", CURE));
        }
        let left_out = format!("{neither} validation rows are neither query nor gallery and were left out");
        let listed = Listed::new(name, entries, classes)?;
        Ok(Self { listed: listed.noting((neither > 0).then_some(left_out)) })
    }
}

fn unreadable(name: &str, error: csv::Error) -> Error {
    let place = match error.position() {
        Some(at) => format!("{name}, line {},", at.line()),
        None => name.to_owned(),
    };
    match error.kind() {
        csv::ErrorKind::Io(e) => Error::read(name, e),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::dataset(place, format!("has {len} columns, the header has {expected_len}"), CURE)
        }
        csv::ErrorKind::Utf8 { .. } => Error::dataset(place, "is no UTF-8 text", CURE),
        _ => Error::dataset(place, format!("cannot be read as CSV: {error}"), CURE),
    }
}

/// Where the columns are.
struct Table {
    name: String,
    root: PathBuf,
    columns: BTreeMap<String, usize>,
    boxed: bool,
}

impl Table {
    fn of(name: &str, root: &Path, header: &StringRecord) -> Result<Self> {
        let mut columns = BTreeMap::new();
        for (at, column) in header.iter().enumerate() {
            let column = column.trim().trim_start_matches('\u{feff}').to_owned();
            if let Some(twice) = columns.insert(column.clone(), at) {
                let why = format!("has the column {column} twice, {} and {}", twice + 1, at + 1);
                return Err(Error::dataset(format!("{name}, line 1,"), why, CURE));
            }
        }
        let missing = |all: &[&'static str]| -> Vec<&'static str> {
            all.iter().copied().filter(|c| !columns.contains_key(*c)).collect()
        };
        let boxes = missing(&BOX);
        let lacking =
            if boxes.len() == BOX.len() { missing(&REQUIRED) } else { [missing(&REQUIRED), boxes.clone()].concat() };
        if !lacking.is_empty() {
            let why = format!("lacks the columns {}", lacking.join(", "));
            return Err(Error::dataset(format!("{name}, line 1,"), why, CURE));
        }
        Ok(Self { name: name.to_owned(), root: root.to_owned(), columns, boxed: boxes.is_empty() })
    }
}

struct Row<'a> {
    table: &'a Table,
    line: u64,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn wrong(&self, why: impl Into<String>) -> Error {
        Error::dataset(format!("{}, line {},", self.table.name, self.line), why, CURE)
    }

    fn text(&self, column: &str) -> Option<&str> {
        self.record.get(*self.table.columns.get(column)?).map(str::trim)
    }

    fn class(&self) -> Result<ClassId> {
        let text = self.text("label").unwrap_or_default();
        text.parse()
            .map(ClassId)
            .map_err(|_| self.wrong(format!("has the label `{text}`, which is no whole number from 0 on")))
    }

    fn path(&self) -> Result<PathBuf> {
        let text = self.text("path").unwrap_or_default();
        // The format allows absolute paths.
        if !text.contains('\0') && Path::new(text).is_absolute() {
            return Ok(PathBuf::from(text));
        }
        let inner = inside(text)
            .ok_or_else(|| self.wrong(format!("names the path `{text}`, which leads out of its folder")))?;
        Ok(self.table.root.join(inner))
    }

    /// The side of a row; none if it is neither query nor gallery.
    fn side(&self) -> Result<Option<OfficialSide>> {
        let split = self.text("split").unwrap_or_default();
        let flags = (self.flag("is_query")?, self.flag("is_gallery")?);
        match (split, flags) {
            ("train", (Some(true), _) | (_, Some(true))) => Err(self.wrong("is for training and yet query or gallery")),
            ("train", _) => Ok(Some(OfficialSide::Train)),
            ("validation", (Some(query), Some(gallery))) => Ok(match (query, gallery) {
                (true, true) => Some(OfficialSide::Test),
                (true, false) => Some(OfficialSide::Query),
                (false, true) => Some(OfficialSide::Gallery),
                (false, false) => None,
            }),
            ("validation", _) => Err(self.wrong("is for validation, but is_query or is_gallery is empty")),
            (other, _) => Err(self.wrong(format!("has the split `{other}`, neither train nor validation"))),
        }
    }

    fn flag(&self, column: &str) -> Result<Option<bool>> {
        match self.text(column).unwrap_or_default() {
            empty if is_empty(empty) => Ok(None),
            "True" | "true" | "TRUE" | "1" | "1.0" => Ok(Some(true)),
            "False" | "false" | "FALSE" | "0" | "0.0" => Ok(Some(false)),
            other => Err(self.wrong(format!("has `{other}` for {column}, neither True nor False"))),
        }
    }

    fn crop(&self) -> Result<Option<Crop>> {
        if !self.table.boxed || BOX.iter().all(|column| self.text(column).is_none_or(is_empty)) {
            return Ok(None);
        }
        let side = |column: &str| {
            let text = self.text(column).unwrap_or_default();
            // A column with gaps is written as decimals.
            let value = text.parse::<f64>().ok().filter(|v| v.fract() == 0. && (0. ..=f64::from(u32::MAX)).contains(v));
            value
                .map(|v| v as u32)
                .ok_or_else(|| self.wrong(format!("has `{text}` for {column}, which is no number of pixels")))
        };
        let [left, right, top, bottom] = [side("x_1")?, side("x_2")?, side("y_1")?, side("y_2")?];
        if left >= right || top >= bottom {
            return Err(self.wrong(format!("has an empty box, x {left} to {right}, y {top} to {bottom}")));
        }
        Ok(Some(Crop { left, top, right, bottom }))
    }
}

/// What tables have for nothing.
fn is_empty(text: &str) -> bool {
    matches!(text, "" | "None" | "nan" | "NaN" | "null")
}

listed_dataset!(OmlCsv);

use super::listed::{ClassEntry, Crop, Entry, Listed, listed_dataset};
use super::listing::{MAX_LIST, inside};
use crate::walk;
use crate::{Error, OfficialSide, Result, read_regular};
use csv::StringRecord;
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const REQUIRED: [&str; 2] = ["label", "path"];

/// All of them, or none: a table may know no sides.
const SIDES: [&str; 3] = ["split", "is_query", "is_gallery"];

const BOX: [&str; 4] = ["x_1", "x_2", "y_1", "y_2"];

const CURE: &str = "correct the table: columns label and path; if you like split, and with it is_query and is_gallery; category; x_1, x_2, y_1, y_2";

/// A table of pictures in the format of open-metric-learning.
///
/// Columns, in any order and in letters of any case, separated by commas, semicolons or tabs: `label`; `path`, absolute or below the
/// table's folder. Optional: `split`, `train`, or `validation`, `val`, `test`; beside it `is_query` and `is_gallery`,
/// `True`/`1`/`yes` or `False`/`0`/`no` for validation and empty for training; `category`, the group of a class; `x_1`, `x_2`,
/// `y_1`, `y_2` (left, right, top, bottom, in pixels, or all empty), the part of the picture that is meant. Values are read in
/// letters of any case; other columns are passed over. The validation rows are the test side of the official split: rows that are
/// query and gallery, as all are where the two columns are not there, are searched for among all others; validation rows that are
/// neither are left out. A table without `split` has no official split.
///
/// Labels are whole numbers from 0 on (`3`, or `3.0` as tables with gaps have them), which are the class ids. If at least half
/// of them are words, all are taken for words: class ids count the distinct ones from 0 in their order, and classes are called by them.
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
    /// label of two categories, a path that climbs out, a picture that another line has too.
    pub fn open(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let name = file.display().to_string();
        Self::parse(&name, file.parent().unwrap_or(Path::new("")), &read_regular(file, MAX_LIST)?)
    }

    /// From the bytes of a table; `name` stands in errors, paths lie below `root`.
    pub(crate) fn parse(name: &str, root: &Path, bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let separator = separator_of(bytes);
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(bytes);
        let header = reader.headers().map_err(|e| unreadable(name, e))?.clone();
        let table = Table::of(name, root, &header, separator)?;
        let mut rows = Vec::new();
        for record in reader.into_records() {
            rows.push(record.map_err(|e| unreadable(name, e))?);
        }
        let rows: Vec<Row<'_>> = rows.iter().map(|record| Row::of(&table, record)).collect();
        let words = Words::of(&rows);
        let (mut entries, mut classes, mut neither) = (Vec::new(), BTreeMap::<ClassId, ClassEntry>::new(), 0);
        for row in &rows {
            let Some(side) = row.side()? else {
                neither += 1;
                continue;
            };
            let (class, called) = row.class(words.as_ref())?;
            let group = row.text("category").filter(|c| !is_empty(c)).map(str::to_owned);
            let entry = || ClassEntry { name: called, group: group.clone() };
            let known = classes.entry(class).or_insert_with(entry);
            if known.group != group {
                let said = |g: &Option<String>| g.clone().unwrap_or_else(|| "none".to_owned());
                let why =
                    format!("has {} of category {}, a line above {}", known.name, said(&group), said(&known.group));
                return Err(row.wrong(why));
            }
            let line = usize::try_from(row.line).unwrap_or(0);
            entries.push(Entry { path: row.path()?, class, side, crop: row.crop()?, named: Some(("", line)) });
        }
        if entries.is_empty() {
            return Err(Error::dataset(name, "has no rows", CURE));
        }
        let mut notes = Vec::new();
        if neither > 0 {
            notes.push(format!("{neither} validation rows are neither query nor gallery and were left out"));
        }
        if words.is_some() {
            notes.push(format!("labels are words: {} classes are numbered in their order", classes.len()));
        }
        let listed = Listed::new(name.to_owned(), entries, classes)?.noting(notes);
        Ok(Self { listed: if table.has("split") { listed } else { listed.without_sides() } })
    }
}

/// What separates the columns of a table in text: of comma, semicolon and tab the one that cuts the first line into most.
pub fn separator_of(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|&&b| b == separator).count();
    // Of equals the last is taken.
    [b'\t', b';', b','].into_iter().max_by_key(|&separator| count(separator)).unwrap_or(b',')
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
    fn of(name: &str, root: &Path, header: &StringRecord, separator: u8) -> Result<Self> {
        let mut columns = BTreeMap::new();
        for (at, column) in header.iter().enumerate() {
            let column = column.trim().to_lowercase();
            if let Some(twice) = columns.insert(column.clone(), at) {
                let why = format!("has the column {column} twice, {} and {}", twice + 1, at + 1);
                return Err(Error::dataset(format!("{name}, line 1,"), why, CURE));
            }
        }
        let missing = |all: &[&'static str]| -> Vec<&'static str> {
            all.iter().copied().filter(|c| !columns.contains_key(*c)).collect()
        };
        let boxes = missing(&BOX);
        // Columns that go together: all of them, or none.
        let together = |all: &[&'static str]| if missing(all).len() == all.len() { Vec::new() } else { missing(all) };
        let split = if columns.contains_key(SIDES[0]) { together(&SIDES[1..]) } else { together(&SIDES) };
        let lacking = [missing(&REQUIRED), split, together(&BOX)].concat();
        if !lacking.is_empty() {
            let separated = match separator {
                b'\t' => "tabs",
                b';' => "semicolons",
                _ => "commas",
            };
            let there: Vec<String> = header.iter().map(|column| format!("`{}`", column.trim())).collect();
            let why = format!(
                "lacks the columns {}: it has {}, separated by {separated}",
                lacking.join(", "),
                walk::listed(&there)
            );
            return Err(Error::dataset(format!("{name}, line 1,"), why, CURE));
        }
        Ok(Self { name: name.to_owned(), root: root.to_owned(), columns, boxed: boxes.is_empty() })
    }

    fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }
}

/// Labels that are words, in their order.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    /// None if most labels are numbers.
    fn of(rows: &'a [Row<'_>]) -> Option<Self> {
        let mut words: Vec<&str> = rows.iter().filter_map(|row| row.text("label")).filter(|w| !is_empty(w)).collect();
        words.sort_unstable();
        words.dedup();
        let numbers = words.iter().filter(|word| word.parse::<f64>().is_ok()).count();
        // A word among many numbers is a mistake, a number among many words a name.
        (2 * numbers <= words.len() && numbers < words.len()).then_some(Self(words))
    }

    fn place(&self, word: &str) -> Option<u32> {
        self.0.binary_search(&word).ok().and_then(|at| u32::try_from(at).ok())
    }
}

struct Row<'a> {
    table: &'a Table,
    line: u64,
    record: &'a StringRecord,
}

impl<'a> Row<'a> {
    fn of(table: &'a Table, record: &'a StringRecord) -> Self {
        Self { table, line: record.position().map_or(0, csv::Position::line), record }
    }

    fn wrong(&self, why: impl Into<String>) -> Error {
        Error::dataset(format!("{}, line {},", self.table.name, self.line), why, CURE)
    }

    fn text(&self, column: &str) -> Option<&'a str> {
        self.record.get(*self.table.columns.get(column)?).map(str::trim)
    }

    /// The class of a row, and what it is called.
    fn class(&self, words: Option<&Words<'_>>) -> Result<(ClassId, String)> {
        let text = self.text("label").unwrap_or_default();
        if is_empty(text) {
            return Err(self.wrong("has no label"));
        }
        if let Some(id) = words.and_then(|words| words.place(text)) {
            return Ok((ClassId(id), text.to_owned()));
        }
        let value = text.parse::<f64>().unwrap_or(f64::NAN);
        let id = if value < 0. || value.fract() != 0. || value.is_nan() {
            Err(self.wrong(format!("has the label `{text}`; labels are whole numbers from 0 on, or words")))
        } else if value > f64::from(u32::MAX) {
            let why = format!("has the label `{text}`, beyond {}, the largest class number", u32::MAX);
            Err(self.wrong(format!("{why}; number the classes anew, or write `class {text}` to have a word")))
        } else {
            Ok(ClassId(value as u32))
        }?;
        Ok((id, format!("label {id}")))
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
        if !self.table.has("split") {
            return Ok(Some(OfficialSide::Train));
        }
        let written = self.text("split").unwrap_or_default();
        let flags = match self.table.has("is_query") {
            true => (self.flag("is_query")?, self.flag("is_gallery")?),
            false => (None, None),
        };
        match (written.to_lowercase().as_str(), flags) {
            ("train" | "training", (Some(true), _) | (_, Some(true))) => {
                Err(self.wrong("is for training and yet query or gallery"))
            }
            ("train" | "training", _) => Ok(Some(OfficialSide::Train)),
            ("validation" | "valid" | "val" | "test", (Some(query), Some(gallery))) => Ok(match (query, gallery) {
                (true, true) => Some(OfficialSide::Test),
                (true, false) => Some(OfficialSide::Query),
                (false, true) => Some(OfficialSide::Gallery),
                (false, false) => None,
            }),
            ("validation" | "valid" | "val" | "test", _) if !self.table.has("is_query") => Ok(Some(OfficialSide::Test)),
            ("validation" | "valid" | "val" | "test", _) => {
                Err(self.wrong("is for validation, but is_query or is_gallery is empty"))
            }
            _ => Err(self.wrong(format!("has the split `{written}`, neither train nor validation (val, test)"))),
        }
    }

    fn flag(&self, column: &str) -> Result<Option<bool>> {
        let text = self.text(column).unwrap_or_default();
        match text.to_lowercase().as_str() {
            _ if is_empty(text) => Ok(None),
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Ok(Some(true)),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Ok(Some(false)),
            _ => Err(self.wrong(format!("has `{text}` for {column}, neither True nor False"))),
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

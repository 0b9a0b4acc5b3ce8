//! Tables with a row per vector, or per label: CSV and Parquet.

use super::numbers::narrow;
use npair_data::separator_of;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a column is for, by its name in small letters.
const LABEL: [&str; 5] = ["label", "labels", "class_id", "target", "y"];
const CLASS: [&str; 3] = ["class", "class_name", "classes"];
const NAME: [&str; 5] = ["name", "path", "file", "filename", "image"];
const OTHER: [&str; 6] = ["row", "index", "id", "split", "", "unnamed: 0"];

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    Word(String),
    List(Vec<f64>),
}

impl Cell {
    fn of_text(text: &str) -> Self {
        let text = text.trim();
        text.parse().map_or_else(|_| Self::Word(text.to_owned()), Self::Number)
    }

    fn text(&self) -> String {
        match self {
            Self::Number(value) => value.to_string(),
            Self::Word(word) => word.clone(),
            Self::List(_) => String::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Label,
    Class,
    Name,
    Value,
    Other,
}

fn role(column: &str) -> Role {
    let column = column.trim().to_lowercase();
    let column = column.as_str();
    match () {
        () if LABEL.contains(&column) => Role::Label,
        () if CLASS.contains(&column) => Role::Class,
        () if NAME.contains(&column) => Role::Name,
        () if OTHER.contains(&column) || column.starts_with("__index_level") => Role::Other,
        () => Role::Value,
    }
}

/// What a table is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Vectors,
    /// Labels alone: values are passed over, and a single column is one of labels whatever it is called.
    Labels,
}

impl Wanted {
    fn of(self, mut roles: Vec<Role>) -> Vec<Role> {
        if self == Self::Labels {
            let single = roles.len() == 1;
            for role in &mut roles {
                *role = match role {
                    _ if single => Role::Label,
                    Role::Label | Role::Class => *role,
                    _ => Role::Other,
                };
            }
        }
        roles
    }
}

/// What a table holds.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) values: Vec<f32>,
    pub(super) width: usize,
    /// Texts of the column of labels, of that of classes, and of that of names; empty without one.
    pub(super) labels: Vec<String>,
    pub(super) classes: Vec<String>,
    pub(super) names: Vec<String>,
    rows: usize,
}

impl Table {
    /// Reads CSV with or without a header, separated by commas, semicolons or tabs; the error says what is wrong.
    pub(super) fn csv(bytes: &[u8], wanted: Wanted) -> Result<Self, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator_of(bytes)).from_reader(bytes);
        let (mut table, mut roles) = (Self::default(), None);
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|e| format!("cannot be read as CSV: {e}"))? {
            let place = || format!("line {}", record.position().map_or(0, csv::Position::line));
            if roles.is_none() {
                let first: Vec<Cell> = record.iter().map(Cell::of_text).collect();
                let header = is_header(&first);
                let own = if header { record.iter().map(role).collect() } else { without_header(&first)? };
                roles = Some(wanted.of(own));
                if header {
                    continue;
                }
            }
            let roles = roles.as_deref().unwrap_or_default();
            // A label stays as it is written: 007 is a name, too.
            let cells = roles.iter().zip(&record).map(|(role, text)| match role {
                Role::Value => Cell::of_text(text),
                _ => Cell::Word(text.trim().to_owned()),
            });
            table.push(roles, cells.collect(), &place)?;
        }
        table.expect_rows()
    }

    /// Reads Parquet: a column for every value, or one with lists; the error says what is wrong.
    pub(super) fn parquet(bytes: Vec<u8>, wanted: Wanted) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| {
            let why = e.to_string().lines().next().unwrap_or_default().to_owned();
            format!("cannot be read as Parquet ({why}): write it anew, with compression='snappy' or 'gzip'")
        };
        let room = (64 << 20) + 16 * bytes.len() as i64;
        // The reader trusts what is inside a page, and may panic over it.
        let read = catch_unwind(AssertUnwindSafe(|| -> Result<Self, String> {
            let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(|e| wrong(&e))?;
            let groups = file.metadata().row_groups();
            let unpacked = groups.iter().try_fold(0i64, |sum, group| sum.checked_add(group.total_byte_size().max(0)));
            if unpacked.is_none_or(|unpacked| unpacked > room) {
                return Err("unpacks to more than 64 MiB and 16 times its size: write it uncompressed".to_owned());
            }
            let (mut table, mut roles) = (Self::default(), None);
            for (at, row) in file.get_row_iter(None).map_err(|e| wrong(&e))?.enumerate() {
                let row = row.map_err(|e| wrong(&e))?;
                let own = || wanted.of(row.get_column_iter().map(|(name, _)| role(name)).collect());
                let roles = &*roles.get_or_insert_with(own);
                let cells = roles.iter().zip(row.get_column_iter());
                let cells = cells.map(|(role, (name, field))| cell(*role, name, field)).collect::<Result<_, _>>()?;
                table.push(roles, cells, &|| format!("row {at}"))?;
            }
            table.expect_rows()
        }));
        read.unwrap_or_else(|_| Err(wrong(&"it is damaged inside")))
    }

    fn push(&mut self, roles: &[Role], cells: Vec<Cell>, place: &dyn Fn() -> String) -> Result<(), String> {
        let before = self.values.len();
        for (&role, cell) in roles.iter().zip(cells) {
            match (role, cell) {
                (Role::Label, cell) => self.labels.push(cell.text()),
                (Role::Class, cell) => self.classes.push(cell.text()),
                (Role::Name, cell) => self.names.push(cell.text()),
                (Role::Other, _) => {}
                (Role::Value, Cell::Number(value)) => {
                    self.values.push(narrow(value).map_err(|why| format!("{} {why}", place()))?)
                }
                (Role::Value, Cell::List(list)) => {
                    for value in list {
                        self.values.push(narrow(value).map_err(|why| format!("{} {why}", place()))?);
                    }
                }
                (Role::Value, Cell::Word(word)) => {
                    let word: String = word.chars().take(40).collect();
                    return Err(format!(
                        "{} has `{word}` where a number is needed; call a column of words label, class or name",
                        place()
                    ));
                }
            }
        }
        let width = self.values.len() - before;
        if self.rows == 0 {
            self.width = width;
        }
        if width != self.width {
            return Err(format!("{} has {width} values, the first row {}", place(), self.width));
        }
        self.rows += 1;
        Ok(())
    }

    fn expect_rows(self) -> Result<Self, String> {
        if self.rows == 0 { Err("has no rows".to_owned()) } else { Ok(self) }
    }

    /// The column of labels: that of words where there are numbers and names of classes.
    pub(super) fn take_classes(&mut self) -> Option<(Vec<String>, Vec<String>)> {
        let (labels, classes) = (std::mem::take(&mut self.labels), std::mem::take(&mut self.classes));
        match (labels.is_empty(), classes.is_empty()) {
            (true, true) => None,
            (true, false) => Some((classes, Vec::new())),
            (false, _) => Some((labels, classes)),
        }
    }
}

/// Whether the first row names the columns: a known name is among them, or none of them is a number and there are several.
fn is_header(cells: &[Cell]) -> bool {
    let known = |cell: &Cell| matches!(cell, Cell::Word(word) if !word.is_empty() && role(word) != Role::Value);
    cells.iter().any(known) || (cells.len() > 1 && cells.iter().all(|cell| matches!(cell, Cell::Word(_))))
}

/// What the columns of a table without a header are for: one of words is the label.
fn without_header(cells: &[Cell]) -> Result<Vec<Role>, String> {
    let words = cells.iter().filter(|cell| matches!(cell, Cell::Word(_))).count();
    if words > 1 {
        return Err(
            "has no header, and several columns of words: name the columns, label and name among them".to_owned()
        );
    }
    let role = |cell: &Cell| if matches!(cell, Cell::Word(_)) { Role::Label } else { Role::Value };
    Ok(cells.iter().map(role).collect())
}

fn cell(role: Role, column: &str, field: &Field) -> Result<Cell, String> {
    Ok(match field {
        _ if role == Role::Other => Cell::Word(String::new()),
        Field::Str(word) => Cell::Word(word.clone()),
        Field::Bytes(bytes) => Cell::Word(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::ListInternal(list) => {
            let numbers = list.elements().iter().map(|field| number(column, field));
            Cell::List(numbers.collect::<Result<_, _>>()?)
        }
        Field::Long(value) if role != Role::Value => Cell::Word(value.to_string()),
        Field::ULong(value) if role != Role::Value => Cell::Word(value.to_string()),
        Field::Null if role != Role::Value => Cell::Word(String::new()),
        field => Cell::Number(number(column, field)?),
    })
}

fn number(column: &str, field: &Field) -> Result<f64, String> {
    Ok(match field {
        Field::Bool(value) => f64::from(u8::from(*value)),
        Field::Byte(value) => f64::from(*value),
        Field::Short(value) => f64::from(*value),
        Field::Int(value) => f64::from(*value),
        Field::Long(value) => *value as f64,
        Field::UByte(value) => f64::from(*value),
        Field::UShort(value) => f64::from(*value),
        Field::UInt(value) => f64::from(*value),
        Field::ULong(value) => *value as f64,
        Field::Float16(value) => value.to_f64(),
        Field::Float(value) => f64::from(*value),
        Field::Double(value) => *value,
        Field::Null => return Err(format!("has an empty cell in the column {column}")),
        _ => return Err(format!("has no numbers in the column {column}; leave it out")),
    })
}

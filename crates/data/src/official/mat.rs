//! Struct arrays in MATLAB 5 files.

mod elements;

use crate::{Error, Result, read_regular};
use matrw::{MatFile, MatVariable, MatlabType, load_matfile_from_u8};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The largest file, packed or unpacked, in bytes: 64 MiB; the official ones have less than 1 MiB, unpacked less than 16 MiB.
const MAX_FILE: u64 = 64 << 20;

/// A file's variables.
pub(super) struct Mat {
    file: String,
    variables: MatFile,
}

/// One struct of a struct array.
pub(super) struct Row<'a> {
    mat: &'a Mat,
    at: usize,
    fields: &'a MatVariable,
}

impl Mat {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        Self::parse(file, &read_regular(path, MAX_FILE)?)
    }

    /// From the bytes of a file; `file` stands in errors.
    pub(super) fn parse(file: String, bytes: &[u8]) -> Result<Self> {
        let plain = elements::plain(bytes, MAX_FILE).map_err(|why| fault(&file, why))?;
        // The reader trusts what is inside an element, and may panic over it.
        let read = catch_unwind(AssertUnwindSafe(|| load_matfile_from_u8(&plain)));
        match read {
            Ok(Ok(variables)) => Ok(Self { file, variables }),
            // Its own words are a back trace.
            Ok(Err(_)) | Err(_) => Err(fault(&file, "it is damaged inside".to_owned())),
        }
    }

    /// The structs of a struct array.
    pub(super) fn rows(&self, name: &str) -> Result<Vec<Row<'_>>> {
        let all = match self.variable(name) {
            Some(MatVariable::StructureArray(array)) => array.value.iter().collect(),
            Some(one @ MatVariable::Structure(_)) => vec![one],
            Some(_) => return Err(fault(&self.file, format!("its variable `{name}` is no struct array"))),
            None => return Err(fault(&self.file, format!("it has no variable `{name}` (it may be truncated)"))),
        };
        Ok(all.into_iter().enumerate().map(|(at, fields)| Row { mat: self, at, fields }).collect())
    }

    /// The texts of a cell array; none if there is no such variable.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        match self.variable(name)? {
            MatVariable::CellArray(cells) => cells.value.iter().map(text).collect(),
            _ => None,
        }
    }

    fn variable(&self, name: &str) -> Option<&MatVariable> {
        self.variables.iter().find(|(own, _)| own.as_str() == name).map(|(_, variable)| variable)
    }
}

/// Whether some bytes are a file of annotations, all of which can be read.
pub(crate) fn accepts(bytes: &[u8]) -> bool {
    let Ok(mat) = Mat::parse("matlab".to_owned(), bytes) else { return false };
    let _ = mat.texts("class_names");
    mat.rows("annotations")
        .is_ok_and(|rows| rows.iter().all(|row| row.number("class").is_ok() && row.text("fname").is_ok()))
}

impl Row<'_> {
    fn field(&self, name: &str) -> Result<&MatVariable> {
        let found = match self.fields {
            MatVariable::Structure(fields) => fields.get(name),
            _ => None,
        };
        found.ok_or_else(|| self.wrong(format!("has no field `{name}`")))
    }

    pub(super) fn text(&self, name: &str) -> Result<String> {
        text(self.field(name)?).ok_or_else(|| self.wrong(format!("has no text in its field `{name}`")))
    }

    pub(super) fn number(&self, name: &str) -> Result<u32> {
        number(self.field(name)?).ok_or_else(|| self.wrong(format!("has no whole number in its field `{name}`")))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.field(name).is_ok()
    }

    /// An error that names the struct, counted from 1 as MATLAB does.
    pub(super) fn wrong(&self, why: String) -> Error {
        fault(&self.mat.file, format!("annotation {} {why}", self.at + 1))
    }
}

pub(super) fn fault(file: &str, why: String) -> Error {
    let cure = "fetch it again; a file saved with -v7.3 has to be saved with -v7";
    Error::dataset(file, format!("is no usable MATLAB 5 file of annotations: {why}"), cure)
}

fn text(variable: &MatVariable) -> Option<String> {
    match variable.numeric_type()? {
        MatlabType::UTF8(letters) | MatlabType::UTF16(letters) => Some(letters.iter().collect()),
        _ => None,
    }
}

/// The one number of an array, whatever type it is stored as.
fn number(variable: &MatVariable) -> Option<u32> {
    let value = match variable.numeric_type()? {
        MatlabType::U8(v) => f64::from(*v.first()?),
        MatlabType::I8(v) => f64::from(*v.first()?),
        MatlabType::U16(v) => f64::from(*v.first()?),
        MatlabType::I16(v) => f64::from(*v.first()?),
        MatlabType::U32(v) => f64::from(*v.first()?),
        MatlabType::I32(v) => f64::from(*v.first()?),
        MatlabType::F32(v) => f64::from(*v.first()?),
        MatlabType::F64(v) => *v.first()?,
        _ => return None,
    };
    (value.fract() == 0. && (0. ..=f64::from(u32::MAX)).contains(&value)).then_some(value as u32)
}

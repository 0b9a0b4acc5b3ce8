//! Struct arrays in MATLAB 5 files.

use crate::{Error, Result};
use flate2::read::ZlibDecoder;
use matrw::{MatFile, MatVariable, MatlabType, load_matfile_from_u8};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The largest file, packed or unpacked, in bytes: 64 MiB; the official ones have less than 1 MiB, unpacked less than 16 MiB.
const MAX_FILE: u64 = 64 << 20;

const HEADER: usize = 128;

/// Type of an element that holds another one, compressed.
const COMPRESSED: u32 = 15;

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
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(path).map_err(|e| Error::read(&file, &e))?;
        opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Error::read(&file, &e))?;
        let plain = unpacked(&bytes).map_err(|why| fault(&file, why))?;
        // The reader trusts what is inside an element, and may panic over it.
        let read = catch_unwind(AssertUnwindSafe(|| load_matfile_from_u8(&plain)));
        match read {
            Ok(Ok(variables)) => Ok(Self { file, variables }),
            Ok(Err(e)) => Err(fault(&file, e.to_string().replace('\n', " "))),
            Err(_) => Err(fault(&file, "it is damaged inside".to_owned())),
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

/// The file with its compressed elements unpacked, each checked to lie within the file.
fn unpacked(bytes: &[u8]) -> std::result::Result<Vec<u8>, String> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it has more than {} MiB", MAX_FILE >> 20));
    }
    let (Some(header), true) = (bytes.get(..HEADER), bytes.starts_with(b"MATLAB 5.0 MAT-file")) else {
        let newer = bytes.starts_with(b"MATLAB 7.3");
        return Err(if newer { "it is of version 7.3" } else { "it has no MATLAB 5.0 header" }.to_owned());
    };
    let little = header.ends_with(b"IM");
    let word = |at: usize| -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    // What follows the variables, if the header says where, belongs to objects, which are not read.
    let mut plain = header.to_vec();
    let mut at = HEADER;
    while at < bytes.len() {
        let cut = || format!("it is truncated after {} bytes", bytes.len());
        let (kind, size) = word(at).zip(word(at + 4)).ok_or_else(cut)?;
        let end = (at + 8).checked_add(size as usize).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        if kind == COMPRESSED {
            let before = plain.len() as u64;
            let room = MAX_FILE.saturating_sub(before);
            let packed = ZlibDecoder::new(&bytes[at + 8..end]);
            packed.take(room + 1).read_to_end(&mut plain).map_err(|e| format!("unpacking it failed: {e}"))?;
            if plain.len() as u64 - before > room {
                return Err(format!("it unpacks to more than {} MiB", MAX_FILE >> 20));
            }
            at = end;
        } else {
            // Elements are padded to 8 bytes, but for compressed ones.
            let padded = end.next_multiple_of(8).min(bytes.len());
            plain.extend_from_slice(&bytes[at..padded]);
            at = padded;
        }
    }
    Ok(plain)
}

//! numpy's `.npy` and `.npz`. The header is read here, not by a parser of all of Python's literals: nested brackets cost such a
//! one minutes.

use super::numbers::{Array, Cells, Kind, Numbers};
use std::borrow::Cow;
use std::io::{Cursor, Read};

/// The longest header, in bytes; numpy's own limit is 10,000.
const MAX_HEADER: usize = 1 << 16;

/// Most dimensions of an array, numpy's own limit.
const MAX_DIMENSIONS: usize = 64;

/// Most arrays of an archive that are read.
const MAX_ARRAYS: usize = 1000;

/// Reads the bytes of a file; the error says what is wrong with them.
pub(super) fn read(bytes: &[u8]) -> Result<Array<'_>, String> {
    let (header, data) = split(bytes)?;
    let header =
        Header::parse(header).ok_or("is no .npy file (its header cannot be read): write it with numpy.save")?;
    let values = header.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    let promised = values.and_then(|n| n.checked_mul(header.item()?));
    let promised = match (header.item(), promised) {
        (None | Some(0), _) => return Err(header.unknown()),
        (_, Some(promised)) if promised <= data.len() => promised,
        _ => {
            let shape = &header.shape;
            return Err(format!(
                "ends too early: its header promises shape {shape:?} of {}, {} bytes follow; write it again",
                header.descr,
                data.len()
            ));
        }
    };
    let data = &data[..promised];
    let cells = match header.kind() {
        Some(kind) => Cells::Numbers(Numbers { kind, big_endian: header.big_endian(), bytes: Cow::Borrowed(data) }),
        None => Cells::Words(header.words(data)?),
    };
    Ok(Array { by_columns: header.by_columns && header.shape.len() > 1, shape: header.shape, cells })
}

/// The header's text and what follows it.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let no = |why: &str| format!("is no .npy file ({why}): write it with numpy.save");
    let cut = || no("it ends in its header");
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(no("it does not begin as one"));
    }
    let version = *bytes.get(6).ok_or_else(cut)?;
    let (len, from) = match version {
        1 => (bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))), 10),
        2 | 3 => (bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize), 12),
        _ => return Err(no(&format!("version {version}"))),
    };
    let len = len.ok_or_else(cut)?;
    if len > MAX_HEADER {
        return Err(no(&format!("a header of {len} bytes")));
    }
    let text = bytes.get(from..from + len).ok_or_else(cut)?;
    let text = std::str::from_utf8(text).map_err(|_| no("its header is no text"))?;
    Ok((text, &bytes[from + len..]))
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
struct Header {
    descr: String,
    by_columns: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
        let (mut descr, mut by_columns, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, value) = quoted(rest)?;
            let value = value.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => match quoted(value) {
                    Some((own, rest)) => {
                        descr = Some(own.to_owned());
                        rest
                    }
                    // A list of fields: kept as it stands, up to its end, to be named.
                    None => {
                        let end = value.starts_with('[').then(|| value.rfind(']'))?? + 1;
                        descr = Some(value[..end].to_owned());
                        &value[end..]
                    }
                },
                "fortran_order" => {
                    let (own, rest) = value
                        .strip_prefix("True")
                        .map(|r| (true, r))
                        .or_else(|| Some((false, value.strip_prefix("False")?)))?;
                    by_columns = Some(own);
                    rest
                }
                "shape" => {
                    let (inside, rest) = value.strip_prefix('(')?.split_once(')')?;
                    let extents = inside.split(',').map(str::trim).filter(|extent| !extent.is_empty());
                    let extents: Vec<usize> =
                        extents.map(|e| e.trim_end_matches('L').parse().ok()).collect::<Option<_>>()?;
                    shape = Some(extents).filter(|extents| extents.len() <= MAX_DIMENSIONS);
                    rest
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Some(Self { descr: descr?, by_columns: by_columns?, shape: shape? })
    }

    fn big_endian(&self) -> bool {
        self.descr.starts_with('>')
    }

    /// The letter and the size in the description.
    fn code(&self) -> Option<(char, usize)> {
        let plain = self.descr.trim_start_matches(['<', '>', '|', '=']);
        let letter = plain.chars().next().filter(char::is_ascii)?;
        Some((letter, plain[1..].parse().ok()?))
    }

    fn kind(&self) -> Option<Kind> {
        Some(match self.code()? {
            ('f', 2) => Kind::F16,
            ('f', 4) => Kind::F32,
            ('f', 8) => Kind::F64,
            ('i', 1) => Kind::I8,
            ('i', 2) => Kind::I16,
            ('i', 4) => Kind::I32,
            ('i', 8) => Kind::I64,
            ('u', 1) => Kind::U8,
            ('u', 2) => Kind::U16,
            ('u', 4) => Kind::U32,
            ('u', 8) => Kind::U64,
            ('b', 1) => Kind::Bool,
            _ => return None,
        })
    }

    /// Bytes of an item, if it is of a known kind.
    fn item(&self) -> Option<usize> {
        match (self.kind(), self.code()?) {
            (Some(kind), _) => Some(kind.width()),
            (None, ('U', letters)) => letters.checked_mul(4),
            (None, ('S' | 'a', letters)) => Some(letters),
            _ => None,
        }
    }

    fn unknown(&self) -> String {
        let descr: String = self.descr.chars().take(40).collect();
        match descr.contains('O') {
            true => "holds Python objects: save numbers, or words as an array of dtype 'U'".to_owned(),
            false => format!("holds {descr}, but numbers or words are needed: save one array with numpy.save"),
        }
    }

    /// Texts of a fixed size, filled up with zeros.
    fn words(&self, data: &[u8]) -> Result<Vec<String>, String> {
        let (letter, _) = self.code().ok_or_else(|| self.unknown())?;
        let item = self.item().filter(|&item| item > 0).ok_or_else(|| self.unknown())?;
        let word = |bytes: &[u8]| match letter {
            'U' => {
                let order = if self.big_endian() { u32::from_be_bytes } else { u32::from_le_bytes };
                let letters = bytes.chunks_exact(4).map(|b| order([b[0], b[1], b[2], b[3]]));
                let letters = letters.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                letters.collect::<String>().trim_end_matches('\0').to_owned()
            }
            _ => String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned(),
        };
        Ok(data.chunks_exact(item).map(word).collect())
    }
}

/// The text in quotes that something begins with, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The arrays of an archive by their names, each as the bytes of a `.npy` file. What is packed may not unpack to more than 64 MiB
/// and 16 times the file.
pub(super) fn archive(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let broken = |e: &dyn std::fmt::Display| format!("is no .npz file ({e}): write it with numpy.savez");
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let mut room = (64 << 20) + 16 * bytes.len() as u64;
    let mut arrays = Vec::new();
    for at in 0..zip.len().min(MAX_ARRAYS) {
        let entry = zip.by_index(at).map_err(|e| broken(&e))?;
        let name = entry.name().map_err(|e| broken(&e))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let mut content = Vec::new();
        entry.take(room + 1).read_to_end(&mut content).map_err(|e| broken(&e))?;
        let left = room.checked_sub(content.len() as u64);
        room = left.ok_or("unpacks to more than 64 MiB and 16 times its size: save its arrays with numpy.save")?;
        arrays.push((name, content));
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn headers_of_nested_brackets_take_no_time() {
        let start = std::time::Instant::now();
        for open in ["(", "[", "{", "((1,", "[('a',"] {
            let nested = open.repeat(60_000 / open.len());
            for text in [nested.clone(), format!("{{'descr': {nested}"), format!("{{'shape': {nested}}}")] {
                let said = read(&header(&text)).unwrap_err();
                assert!(said.contains("is no .npy file"), "{said}");
            }
        }
        assert!(start.elapsed().as_secs() < 2);
    }

    #[test]
    fn what_is_promised_is_compared_with_what_is_there() {
        for shape in ["(9999999999999999,)", "(4294967296, 4294967296)", "(18446744073709551615, 2)", "(3,)"] {
            let mut bytes = header(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"));
            bytes.extend([0; 16]);
            assert!(read(&bytes).unwrap_err().contains("ends too early"), "{shape}");
        }
        for descr in ["'<U0'", "'|S0'", "'|O'", "[('a', '<f4'), ('b', '<i8')]", "'<f16'", "'<U99999999999999999999'"] {
            let bytes = header(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (9999999999999,), }}"));
            assert!(read(&bytes).unwrap_err().contains("holds "), "{descr}");
        }
    }
}

//! The elements of a MATLAB 5 file, checked and made plain for a reader that trusts them.

use flate2::read::ZlibDecoder;
use std::io::Read;
use std::ops::Range;

const HEADER: usize = 128;

/// What MATLAB's own files begin with.
const TEXT_OF_MATLAB: &[u8] = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Sat Feb  9 20:13:19 2013";

/// Types of elements.
const UINT16: u32 = 4;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF16: u32 = 17;

/// Classes of arrays.
const CELLS: u32 = 1;
const STRUCTS: u32 = 2;
const TEXT: u32 = 4;

/// Arrays nested deeper than this are refused.
const DEEPEST: usize = 8;

/// The file with its compressed elements unpacked, up to `limit` bytes, and texts that are stored as bare numbers marked as UTF-16;
/// every element lies within what holds it.
pub(super) fn plain(bytes: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    if bytes.len() as u64 > limit {
        return Err(format!("it has more than {} MiB", limit >> 20));
    }
    let (Some(header), true) = (bytes.get(..HEADER), bytes.starts_with(b"MATLAB 5.0 MAT-file")) else {
        let newer = bytes.starts_with(b"MATLAB 7.3");
        return Err(if newer { "it is of version 7.3" } else { "it has no MATLAB 5.0 header" }.to_owned());
    };
    let little = match &header[HEADER - 2..] {
        b"IM" => true,
        b"MI" => false,
        _ => return Err("its header does not say in which order bytes are".to_owned()),
    };
    let mut file = Elements { bytes: unpacked(bytes, little, limit)?, little };
    let whole = HEADER..file.bytes.len();
    file.mark_texts(whole, 0).ok_or_else(|| "it is damaged inside".to_owned())?;
    Ok(file.bytes)
}

fn unpacked(bytes: &[u8], little: bool, limit: u64) -> Result<Vec<u8>, String> {
    let mut plain = bytes[..HEADER].to_vec();
    // The reader knows the words of MATLAB itself alone; other programs (scipy) write their own behind the same beginning.
    let end = HEADER - 12;
    plain[..end].fill(b' ');
    plain[..TEXT_OF_MATLAB.len()].copy_from_slice(TEXT_OF_MATLAB);
    // Where further data of objects would lie; they are not read.
    plain[HEADER - 12..HEADER - 4].fill(0);
    let mut at = HEADER;
    while at < bytes.len() {
        let cut = || format!("it is truncated after {} bytes", bytes.len());
        let (kind, size) = word(bytes, at, little).zip(word(bytes, at + 4, little)).ok_or_else(cut)?;
        let end = (at + 8).checked_add(size as usize).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        if kind == COMPRESSED {
            let before = plain.len() as u64;
            let room = limit.saturating_sub(before);
            let packed = ZlibDecoder::new(&bytes[at + 8..end]);
            packed.take(room + 1).read_to_end(&mut plain).map_err(|e| format!("unpacking it failed: {e}"))?;
            if plain.len() as u64 - before > room {
                return Err(format!("it unpacks to more than {} MiB", limit >> 20));
            }
        } else {
            plain.extend_from_slice(&bytes[at..end]);
        }
        at = end;
    }
    Ok(plain)
}

fn word(bytes: &[u8], at: usize, little: bool) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
}

struct Elements {
    bytes: Vec<u8>,
    little: bool,
}

/// An element: its type, where its data lies, and where the next one starts.
struct Element {
    kind: u32,
    data: Range<usize>,
    next: usize,
}

impl Elements {
    /// The element that starts at `at`, if it ends before `end`.
    fn element(&self, at: usize, end: usize) -> Option<Element> {
        let tag = word(&self.bytes, at, self.little)?;
        // Up to four bytes of data share the eight of the tag.
        let (kind, size, from) = match tag >> 16 {
            0 => (tag, word(&self.bytes, at + 4, self.little)? as usize, at + 8),
            size => (tag & 0xffff, size as usize, at + 4),
        };
        let data = from..from.checked_add(size)?;
        let small = from == at + 4;
        let next = if small { at + 8 } else { data.end.next_multiple_of(8) };
        (data.end <= end && (!small || size <= 4)).then_some(Element { kind, data, next: next.min(end) })
    }

    /// Goes through the arrays in a range.
    fn mark_texts(&mut self, range: Range<usize>, depth: usize) -> Option<()> {
        let mut at = range.start;
        while at < range.end {
            let array = self.element(at, range.end)?;
            if array.kind != MATRIX || depth > DEEPEST {
                return None;
            }
            // An array without anything in it is an empty one.
            if !array.data.is_empty() {
                self.array(array.data, depth)?;
            }
            at = array.next;
        }
        Some(())
    }

    fn array(&mut self, data: Range<usize>, depth: usize) -> Option<()> {
        let flags = self.element(data.start, data.end)?;
        let class = word(&self.bytes, flags.data.start, self.little)? & 0xff;
        let size = self.element(flags.next, data.end)?;
        let name = self.element(size.next, data.end)?;
        match class {
            TEXT => {
                let letters = self.element(name.next, data.end)?;
                if letters.kind == UINT16 {
                    self.set_kind(name.next, UTF16);
                }
            }
            CELLS => self.mark_texts(name.next..data.end, depth + 1)?,
            STRUCTS => {
                let width = self.element(name.next, data.end)?;
                let fields = self.element(width.next, data.end)?;
                self.mark_texts(fields.next..data.end, depth + 1)?;
            }
            _ => {}
        }
        Some(())
    }

    /// Changes the type in the tag at `at`, whose size stays.
    fn set_kind(&mut self, at: usize, kind: u32) {
        let Some(tag) = word(&self.bytes, at, self.little) else { return };
        let tag = (tag & 0xffff_0000) | kind;
        self.bytes[at..at + 4].copy_from_slice(&if self.little { tag.to_le_bytes() } else { tag.to_be_bytes() });
    }
}

//! What is known of a file of rows that is not whole yet: a line of JSON, then the checksum of every whole chunk, a line each.

use super::Origin;
use serde::{Deserialize, Serialize};

/// The version that this build writes and reads.
const VERSION: u32 = 1;

/// The last line, once all rows are there and the files are being put in their places.
const PLACING: &str = "placing";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begun {
    version: u32,
    pub(super) width: usize,
    pub(super) of: Origin,
}

impl Begun {
    pub(super) fn new(width: usize, of: Origin) -> Self {
        Self { version: VERSION, width, of }
    }

    /// As a line.
    pub(super) fn line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

/// A log as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) begun: Begun,
    /// CRC-32 of the bytes of each chunk.
    pub(super) sums: Vec<u32>,
    /// Whether the files are being put in their places.
    pub(super) placing: bool,
    /// Bytes of the first line.
    first: usize,
    /// Bytes of all lines that count.
    pub(super) end: u64,
}

impl Log {
    /// None if it is none of this version. A last line that was cut off counts for nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let begun: Begun = serde_json::from_str(lines.next()?).ok()?;
        let mut lines = lines.peekable();
        let mut sums = Vec::new();
        while let Some(sum) = lines.peek().and_then(|line| of_line(line)) {
            sums.push(sum);
            lines.next();
        }
        let placing = lines.next() == Some(PLACING);
        let first = text.find('\n')? + 1;
        let rest = sums.len() * line_of(0).len() + if placing { self::placing().len() } else { 0 };
        let end = (first + rest) as u64;
        (begun.version == VERSION).then_some(Self { begun, sums, placing, first, end })
    }

    /// Bytes of a log of so many chunks.
    pub(super) fn end_of(&self, chunks: usize) -> u64 {
        (self.first + chunks * line_of(0).len()) as u64
    }
}

fn of_line(line: &str) -> Option<u32> {
    Some(line).filter(|line| line.len() == 8).and_then(|line| u32::from_str_radix(line, 16).ok())
}

/// The line of a chunk.
pub(super) fn line_of(sum: u32) -> String {
    format!("{sum:08x}\n")
}

/// The last line.
pub(super) fn placing() -> String {
    format!("{PLACING}\n")
}

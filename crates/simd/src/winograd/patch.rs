use std::ops::Range;

/// A square of pixels in images (.., height, width, channels), of which a part may lie outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Where its first pixel is, or would be.
    pub first: isize,
    /// Values from row to row.
    pub row: usize,
    /// Values from pixel to pixel.
    pub pixel: usize,
    /// Its rows that are inside.
    pub rows: Range<usize>,
    /// Its columns that are inside.
    pub columns: Range<usize>,
}

impl Patch {
    /// Whether all `channels` of its pixels that are inside lie among `len` values.
    pub(super) fn lies_in(&self, len: usize, channels: usize) -> bool {
        if self.rows.is_empty() || self.columns.is_empty() {
            return true;
        }
        // Wide enough for whatever the fields say.
        let wide = |n: usize| n as i128;
        let at = |i: usize, j: usize| self.first as i128 + wide(i) * wide(self.row) + wide(j) * wide(self.pixel);
        let end = at(self.rows.end - 1, self.columns.end - 1) + wide(channels);
        at(self.rows.start, self.columns.start) >= 0 && end <= wide(len)
    }

    pub(super) fn has(&self, i: usize, j: usize) -> bool {
        self.rows.contains(&i) && self.columns.contains(&j)
    }
}

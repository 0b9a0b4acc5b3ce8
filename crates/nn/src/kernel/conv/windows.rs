use crate::kernel::Element;
use npair_simd::Run;
use std::ops::Range;

/// Windows over images (B, H, W, C): the source pixels that every pixel of a map is made of. A window may hang over the
/// image's edges; what it finds there is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows {
    pub batch: usize,
    /// Height and width of an image.
    pub image: (usize, usize),
    /// Channels of a pixel.
    pub channels: usize,
    /// Channels that the windows see: the first and how many.
    pub seen: (usize, usize),
    /// Row and column of the first window's corner.
    pub start: (isize, isize),
    /// Rows and columns between windows.
    pub step: (usize, usize),
    /// Windows per image, down and across.
    pub count: (usize, usize),
    /// Pixels of a window, from its corner.
    pub taps: Vec<(usize, usize)>,
}

/// Some rows of windows, ready to be read.
pub(crate) struct View<'a, T> {
    pub source: &'a [T],
    /// Where each window's corner lies in `source`.
    pub corners: Vec<usize>,
    /// The window's values, from its corner: (tap, channel).
    pub values: Vec<Run>,
}

impl Windows {
    /// Rows of windows of all images.
    pub(crate) fn rows(&self) -> usize {
        self.batch * self.count.0
    }

    /// Values that a window has.
    pub(crate) fn size(&self) -> usize {
        self.taps.len() * self.seen.1
    }

    /// Extents of a window.
    fn reach(&self) -> (usize, usize) {
        let down = self.taps.iter().map(|t| t.0).max().unwrap_or(0);
        (down + 1, self.taps.iter().map(|t| t.1).max().unwrap_or(0) + 1)
    }

    /// Source rows and columns under all windows of an image.
    fn covered(&self) -> (usize, usize) {
        let (down, across) = self.reach();
        ((self.count.0.max(1) - 1) * self.step.0 + down, (self.count.1.max(1) - 1) * self.step.1 + across)
    }

    /// Whether no window leaves its image, so that the images can be read where they are.
    pub(crate) fn inside(&self) -> bool {
        let ends = |start: isize, covered: usize, extent: usize| start >= 0 && start as usize + covered <= extent;
        ends(self.start.0, self.covered().0, self.image.0) && ends(self.start.1, self.covered().1, self.image.1)
    }

    /// Rows of windows that are worked on at one time: about `pixels` windows, whose source fits into the second cache.
    pub(crate) fn band(&self, pixels: usize) -> usize {
        const SOURCE: usize = 96 << 10;
        let rows = pixels / self.count.1.max(1);
        let fitting = SOURCE / (self.step.0 * self.covered().1 * self.channels).max(1);
        let most = if self.inside() { rows } else { rows.min(fitting) };
        most.clamp(1, self.rows().max(1))
    }

    /// The windows of rows `band`; `padded` is used if some leave their images.
    pub(crate) fn view<'a, T: Element>(&self, x: &'a [T], band: Range<usize>, padded: &'a mut Vec<T>) -> View<'a, T> {
        let ((down, _), c) = (self.reach(), self.channels);
        let (height, width) = self.image;
        let mut corners = Vec::with_capacity(band.len() * self.count.1);
        if self.inside() {
            let (top, left) = (self.start.0 as usize, self.start.1 as usize);
            for row in band {
                let (b, i) = (row / self.count.0, row % self.count.0);
                let first = (b * height + top + i * self.step.0) * width + left;
                corners.extend((0..self.count.1).map(|j| (first + j * self.step.1) * c));
            }
            return View { source: x, corners, values: self.values(width) };
        }
        let pitch = self.covered().1;
        padded.clear();
        let mut row = band.start;
        while row < band.end {
            // As many rows of one image as the band has.
            let (b, from) = (row / self.count.0, row % self.count.0);
            let to = self.count.0.min(from + band.end - row);
            let first = padded.len();
            let sources = (to - 1 - from) * self.step.0 + down;
            for r in 0..sources {
                let y = self.start.0 + (from * self.step.0 + r) as isize;
                let line = usize::try_from(y).ok().filter(|&y| y < height);
                self.line(line.map(|y| &x[(b * height + y) * width * c..][..width * c]), pitch, padded);
            }
            for i in 0..to - from {
                corners.extend((0..self.count.1).map(|j| first + (i * self.step.0 * pitch + j * self.step.1) * c));
            }
            row += to - from;
        }
        View { source: padded, corners, values: self.values(pitch) }
    }

    /// Appends the part of an image's row that lies under the windows, or zeros if there is none.
    fn line<T: Element>(&self, row: Option<&[T]>, pitch: usize, to: &mut Vec<T>) {
        let (c, end) = (self.channels, to.len() + pitch * self.channels);
        if let Some(row) = row {
            let before = self.start.1.min(0).unsigned_abs().min(pitch);
            let from = (self.start.1.max(0) as usize).min(self.image.1);
            let take = (pitch - before).min(self.image.1 - from);
            to.resize(to.len() + before * c, T::ZERO);
            to.extend_from_slice(&row[from * c..(from + take) * c]);
        }
        to.resize(end, T::ZERO);
    }

    /// A window's values in a source with `pitch` pixels per row; neighbours become one run.
    fn values(&self, pitch: usize) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::with_capacity(self.taps.len());
        for &(down, across) in &self.taps {
            let start = (down * pitch + across) * self.channels + self.seen.0;
            match runs.last_mut() {
                Some(last) if last.start + last.len == start => last.len += self.seen.1,
                _ => runs.push(Run { start, len: self.seen.1, step: 1 }),
            }
        }
        runs
    }
}

/// Where the pixels of a map go in images (B, H, W, C).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    pub image: (usize, usize),
    pub channels: usize,
    /// First channel that is written.
    pub channel: usize,
    pub start: (usize, usize),
    pub step: (usize, usize),
}

impl Places {
    /// Whether they are all pixels of images of this size.
    pub(crate) fn are_all_of(&self, count: (usize, usize)) -> bool {
        self.image == count && self.start == (0, 0) && self.step == (1, 1)
    }

    /// Where the channels of the pixels of map rows `band` begin; the map is (batch, `count`).
    pub(crate) fn of(&self, count: (usize, usize), band: Range<usize>) -> Vec<usize> {
        let mut places = Vec::with_capacity(band.len() * count.1);
        for row in band {
            let (b, i) = (row / count.0, row % count.0);
            let first = (b * self.image.0 + self.start.0 + i * self.step.0) * self.image.1 + self.start.1;
            places.extend((0..count.1).map(|j| (first + j * self.step.1) * self.channels + self.channel));
        }
        places
    }
}

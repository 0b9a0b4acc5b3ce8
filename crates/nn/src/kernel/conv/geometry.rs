use std::ops::Range;

/// Extents and steps of a convolution, all along (height, width) where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub image: (usize, usize),
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub dilation: (usize, usize),
    pub groups: usize,
    pub map: (usize, usize),
}

impl Geometry {
    /// Pixels of an input plane.
    pub(crate) fn pixels(&self) -> usize {
        self.image.0 * self.image.1
    }

    /// Pixels of an output plane.
    pub(crate) fn map_pixels(&self) -> usize {
        self.map.0 * self.map.1
    }

    /// Input channels of a group.
    pub(crate) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    /// Output channels of a group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Entries of a patch: (input channel of the group, kernel row, kernel column).
    pub(crate) fn patch(&self) -> usize {
        self.group_inputs() * self.kernel.0 * self.kernel.1
    }

    /// Whether the patches are the input itself.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == (1, 1) && self.stride == (1, 1) && self.padding == (0, 0)
    }

    /// Output rows whose patches are built at one time: about a quarter of a million entries.
    pub(crate) fn bands(&self) -> Vec<Range<usize>> {
        const ENTRIES: usize = 1 << 18;
        let rows = (ENTRIES / (self.patch() * self.map.1).max(1)).clamp(1, self.map.0.max(1));
        (0..self.map.0).step_by(rows).map(|top| top..(top + rows).min(self.map.0)).collect()
    }

    /// Output columns whose sample at kernel column `kx` lies inside the image, and the first one's input column.
    pub(crate) fn inside(&self, kx: usize) -> (Range<usize>, usize) {
        let (offset, stride) = (kx * self.dilation.1, self.stride.1);
        let first = self.padding.1.saturating_sub(offset).div_ceil(stride);
        // The last column with x * stride + offset - padding <= width - 1.
        let end = match (self.image.1 + self.padding.1).checked_sub(offset + 1) {
            Some(last) => (last / stride + 1).min(self.map.1),
            None => 0,
        };
        if first >= end { (0..0, 0) } else { (first..end, first * stride + offset - self.padding.1) }
    }

    /// Input row that output row `y` samples at kernel row `ky`, if it lies inside the image.
    pub(crate) fn row(&self, y: usize, ky: usize) -> Option<usize> {
        (y * self.stride.0 + ky * self.dilation.0).checked_sub(self.padding.0).filter(|&row| row < self.image.0)
    }
}

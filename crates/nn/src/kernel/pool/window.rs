/// Windows over images (B, H, W, C).
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub batch: usize,
    pub channels: usize,
    pub image: (usize, usize),
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub map: (usize, usize),
}

impl Window {
    /// Values of an image.
    pub(crate) fn pixels(&self) -> usize {
        self.image.0 * self.image.1
    }

    /// Pixels of a map.
    pub(crate) fn map_pixels(&self) -> usize {
        self.map.0 * self.map.1
    }

    /// Rows and columns (first, end) of window (i, j), cut at the image's edges; never empty.
    pub(crate) fn of(&self, i: usize, j: usize) -> ((usize, usize), (usize, usize)) {
        let cut = |at: usize, stride: usize, padding: usize, kernel: usize, extent: usize| {
            ((at * stride).saturating_sub(padding), (at * stride + kernel - padding).min(extent))
        };
        let rows = cut(i, self.stride.0, self.padding.0, self.kernel.0, self.image.0);
        (rows, cut(j, self.stride.1, self.padding.1, self.kernel.1, self.image.1))
    }

    /// The windows that pixel `at` (a row or a column) lies in, and its index in each.
    pub(crate) fn over(at: usize, kernel: usize, stride: usize, padding: usize, map: usize) -> Vec<(usize, usize)> {
        let shifted = at + padding;
        let first = (shifted + 1).saturating_sub(kernel).div_ceil(stride);
        (first..map.min(shifted / stride + 1)).map(|w| (w, shifted - w * stride)).collect()
    }

    /// By how many values a mean over window (i, j) is divided. With padding counted it is the window's extent within
    /// the padded image: what a last window in ceil mode has beyond the padding is not counted (as in PyTorch).
    pub(super) fn share(&self, (i, j): (usize, usize), count_padding: bool) -> f64 {
        let along = |at: usize, stride: usize, padding: usize, kernel: usize, extent: usize| {
            let (start, end) = (at * stride, (at * stride + kernel).min(extent + 2 * padding));
            if count_padding { end - start } else { end.min(extent + padding) - start.max(padding) }
        };
        let rows = along(i, self.stride.0, self.padding.0, self.kernel.0, self.image.0);
        let columns = along(j, self.stride.1, self.padding.1, self.kernel.1, self.image.1);
        (rows * columns) as f64
    }
}

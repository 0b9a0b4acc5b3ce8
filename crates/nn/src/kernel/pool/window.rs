/// Windows over planes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub planes: usize,
    pub image: (usize, usize),
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub map: (usize, usize),
}

impl Window {
    pub(crate) fn pixels(&self) -> usize {
        self.image.0 * self.image.1
    }

    pub(crate) fn map_pixels(&self) -> usize {
        self.map.0 * self.map.1
    }

    /// Rows and columns (first, end) of every window, cut at the image's edges; never empty.
    pub(super) fn windows(&self) -> impl Iterator<Item = ((usize, usize), (usize, usize))> {
        let cut = |at: usize, stride: usize, padding: usize, kernel: usize, extent: usize| {
            ((at * stride).saturating_sub(padding), (at * stride + kernel - padding).min(extent))
        };
        let row = move |y| cut(y, self.stride.0, self.padding.0, self.kernel.0, self.image.0);
        let column = move |x| cut(x, self.stride.1, self.padding.1, self.kernel.1, self.image.1);
        (0..self.map.0).flat_map(move |y| (0..self.map.1).map(move |x| (row(y), column(x))))
    }

    /// By how many values a mean over window `at` is divided. With padding counted it is the window's extent within
    /// the padded image: what a last window in ceil mode has beyond the padding is not counted (as in PyTorch).
    pub(super) fn share(&self, at: usize, count_padding: bool) -> f64 {
        let along = |at: usize, stride: usize, padding: usize, kernel: usize, extent: usize| {
            let (start, end) = (at * stride, (at * stride + kernel).min(extent + 2 * padding));
            if count_padding { end - start } else { end.min(extent + padding) - start.max(padding) }
        };
        let (y, x) = (at / self.map.1, at % self.map.1);
        let rows = along(y, self.stride.0, self.padding.0, self.kernel.0, self.image.0);
        let columns = along(x, self.stride.1, self.padding.1, self.kernel.1, self.image.1);
        (rows * columns) as f64
    }
}

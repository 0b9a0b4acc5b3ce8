use crate::kernel::conv::Geometry;

/// Flat pixels that a part of the work has about: a layer of 64 channels of it stays in the second-level cache.
const PIXELS: usize = 1440;

/// Planes with a border of zeros, several images of a channel in *one long row*.
///
/// A pixel's neighbour at kernel tap (ky, kx) lies a fixed distance away, the same for all pixels of all rows and images:
/// a tap is a shift, and a convolution a product of matrices whose second operand is read where it lies. Rows share
/// their border (what is right of a row is left of the next), and so do images. Sums at border pixels are thrown away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Images in the row.
    pub images: usize,
    /// Rows of an image that are convolved; all, or a band of a large image.
    pub rows: usize,
    /// From one row to the next.
    pub width: usize,
    /// Kernel extents.
    kernel: (usize, usize),
    /// Pixels of a row of the image.
    columns: usize,
    /// Pixels between images.
    image: usize,
    /// Flat pixels, borders between them counted, rounded up to whole tiles.
    pub flat: usize,
    /// From one channel to the next.
    pub stride: usize,
    /// Values before the first tap of the first pixel, so that the pixel itself lies at a cache line's border.
    lead: usize,
}

impl Layout {
    /// For a convolution that keeps the image's size; `tile` flat pixels are computed at a time.
    /// Images of up to `whole` pixels are not cut into bands.
    pub(super) fn new(g: &Geometry, tile: usize, whole: usize) -> Self {
        let (border, columns) = (g.padding.0, g.image.1);
        let width = columns + g.padding.1;
        let image = (g.image.0 + border) * width;
        let most = (PIXELS / image).clamp(1, g.batch.max(1));
        // Units of nearly equal length, rather than a small last one.
        let images = g.batch.div_ceil(g.batch.div_ceil(most).max(1)).max(1);
        let rows = if images > 1 || g.pixels() <= whole { g.image.0 } else { (PIXELS / width).clamp(1, g.image.0) };
        // A band that leaves a small rest is no gain.
        let rows = g.image.0.div_ceil(g.image.0.div_ceil(rows));
        let used = if images > 1 { images * image } else { rows * width };
        let flat = used.next_multiple_of(tile);
        let before = g.kernel.0 / 2 * width + g.kernel.1 / 2;
        let lead = before.next_multiple_of(16) - before;
        let stride = (lead + flat + 2 * before).next_multiple_of(16);
        Self { images, rows, width, kernel: g.kernel, columns, image, flat, stride, lead }
    }

    /// Where the first pixel lies in a plane.
    pub(crate) fn centre(&self) -> usize {
        self.lead + self.kernel.0 / 2 * self.width + self.kernel.1 / 2
    }

    /// Where the first pixel's taps lie in a plane, row by row.
    pub(super) fn taps(&self) -> Vec<usize> {
        (0..self.kernel.0).flat_map(|y| (0..self.kernel.1).map(move |x| self.lead + y * self.width + x)).collect()
    }

    /// The flat place of row `y` of image `image`.
    pub(crate) fn row(&self, image: usize, y: usize) -> usize {
        image * self.image + y * self.width
    }

    /// Writes one channel of `images` images into `plane`: rows `top..` of each, and the rows of its neighbours above
    /// and below a band if `halo` is set. `source(image, row)` gives a row of pixels.
    pub(super) fn fill<'a>(
        &self,
        plane: &mut [f32],
        images: usize,
        (top, bottom): (usize, usize),
        height: usize,
        halo: bool,
        source: impl Fn(usize, usize) -> &'a [f32],
    ) {
        plane.fill(0.);
        let reach = if halo { self.kernel.0 / 2 } else { 0 };
        let (first, end) = (top.saturating_sub(reach), (bottom + reach).min(height));
        for image in 0..images {
            for y in first..end {
                let at = self.centre() + self.row(image, y) - top * self.width;
                plane[at..at + self.columns].copy_from_slice(source(image, y));
            }
        }
    }
}

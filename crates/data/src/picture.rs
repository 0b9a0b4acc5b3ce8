use crate::{Error, Result};
use std::sync::Arc;

/// Decoded pixels: rows from the top, pixels from the left, 1 (grey) or 3 (red, green, blue) bytes each.
/// A clone shares the pixels.
///
/// ```
/// # use npair_data::Picture;
/// let picture = Picture::new(2, 1, 3, vec![255, 0, 0, 0, 0, 255])?;
/// assert_eq!(picture.pixel(1, 0), [0, 0, 255]);
/// assert!(Picture::new(2, 2, 3, vec![0; 11]).unwrap_err().to_string().contains("needs 12 bytes, got 11"));
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    channels: u8,
    /// Not `Arc<[u8]>`: that would copy every decoded picture once more, to put the count in front of it.
    pixels: Arc<Vec<u8>>,
}

impl Picture {
    /// A picture from its bytes.
    ///
    /// # Errors
    /// [`Error::Picture`] if a side is 0, `channels` is neither 1 nor 3, or the number of bytes does not fit.
    pub fn new(width: u32, height: u32, channels: u8, pixels: impl Into<Vec<u8>>) -> Result<Self> {
        let pixels = pixels.into();
        if channels != 1 && channels != 3 {
            return Err(Error::Picture { why: format!("{channels} channels; 1 (grey) or 3 (RGB) are known") });
        }
        if width == 0 || height == 0 {
            return Err(Error::Picture { why: format!("{width} x {height} pixels; each side needs at least 1") });
        }
        let want = u128::from(width) * u128::from(height) * u128::from(channels);
        if pixels.len() as u128 != want {
            let why =
                format!("{width} x {height} pixels of {channels} channels needs {want} bytes, got {}", pixels.len());
            return Err(Error::Picture { why });
        }
        Ok(Self { width, height, channels, pixels: Arc::new(pixels) })
    }

    /// Number of columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// All bytes, row by row, the channels of a pixel side by side.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The channels of the pixel in column `x` and row `y`.
    ///
    /// # Panics
    /// If it lies outside, as for slices.
    pub fn pixel(&self, x: u32, y: u32) -> &[u8] {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y}) of {} x {}", self.width, self.height);
        let channels = usize::from(self.channels);
        let at = (y as usize * self.width as usize + x as usize) * channels;
        &self.pixels[at..at + channels]
    }

    /// The picture in grey, by the luma weights of Rec. 601 in whole numbers: `(77 R + 150 G + 29 B + 128) / 256`.
    pub fn to_grey(&self) -> Self {
        if self.channels == 1 {
            return self.clone();
        }
        let luma = |p: &[u8]| ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2]) + 128) >> 8) as u8;
        Self { channels: 1, pixels: Arc::new(self.pixels.chunks_exact(3).map(luma).collect()), ..*self }
    }

    /// The picture with three channels; grey is repeated.
    pub fn to_rgb(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        Self { channels: 3, pixels: Arc::new(self.pixels.iter().flat_map(|&v| [v; 3]).collect()), ..*self }
    }

    /// The picture turned counter-clockwise by `quarters` right angles, without any loss.
    ///
    /// ```
    /// # use npair_data::Picture;
    /// let row = Picture::new(2, 1, 1, vec![1, 2])?;
    /// assert_eq!(row.rotated(1).pixels(), [2, 1]); // the right end is on top now
    /// assert_eq!(row.rotated(1).height(), 2);
    /// assert_eq!(row.rotated(4), row);
    /// # Ok::<(), npair_data::Error>(())
    /// ```
    pub fn rotated(&self, quarters: u32) -> Self {
        let (w, h) = (self.width, self.height);
        let quarters = quarters % 4;
        if quarters == 0 {
            return self.clone();
        }
        let (width, height) = if quarters == 2 { (w, h) } else { (h, w) };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = match quarters {
                    1 => (w - 1 - y, x),
                    2 => (w - 1 - x, h - 1 - y),
                    _ => (y, h - 1 - x),
                };
                pixels.extend_from_slice(self.pixel(from_x, from_y));
            }
        }
        Self { width, height, channels: self.channels, pixels: Arc::new(pixels) }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {} x {})", self.width, self.height, self.channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_sizes_are_refused() {
        let why = |w, h, c, n| Picture::new(w, h, c, vec![0; n]).unwrap_err().to_string();
        assert!(why(0, 3, 1, 0).contains("0 x 3"));
        assert!(why(1, 1, 4, 4).contains("4 channels"));
        assert!(why(u32::MAX, u32::MAX, 3, 0).contains("got 0"));
    }

    #[test]
    fn four_quarters_are_a_full_turn() {
        let p = Picture::new(3, 2, 3, (0..18).collect::<Vec<u8>>()).unwrap();
        assert_eq!(p.rotated(1).rotated(1), p.rotated(2));
        assert_eq!(p.rotated(1).rotated(2), p.rotated(3));
        assert_eq!(p.rotated(3).rotated(1), p);
        // Counter-clockwise: the top right corner goes to the top left.
        assert_eq!(p.rotated(1).pixel(0, 0), p.pixel(2, 0));
    }

    #[test]
    fn grey_and_back() {
        let p = Picture::new(2, 1, 3, vec![255, 255, 255, 255, 0, 0]).unwrap();
        assert_eq!(p.to_grey().pixels(), [255, 77]); // (77 * 255 + 128) >> 8 = 77
        assert_eq!(p.to_grey().to_rgb().pixels(), [255, 255, 255, 77, 77, 77]);
    }
}

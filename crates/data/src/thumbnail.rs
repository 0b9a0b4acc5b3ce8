//! Small pictures to look at.

use crate::decode::decode;
use crate::transform::scaled;
use crate::{Error, Picture, Result};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};

/// Quality of the JPEG, of 100.
const QUALITY: u8 = 80;

impl Picture {
    /// The picture scaled down so that no side is longer than `side` pixels; a smaller one stays as it is.
    ///
    /// # Errors
    /// [`Error::Setting`] if `side` is 0.
    pub fn fitted(&self, side: u32) -> Result<Self> {
        if side == 0 {
            return Err(Error::setting("thumbnail", side, "a side of 0 pixels shows nothing"));
        }
        let longest = self.width().max(self.height());
        if longest <= side {
            return Ok(self.clone());
        }
        let part = |extent: u32| ((u64::from(extent) * u64::from(side)).div_ceil(u64::from(longest)) as u32).max(1);
        scaled(self, part(self.width()), part(self.height()))
    }

    /// The bytes of a small JPEG file of it.
    ///
    /// # Errors
    /// Those of [`fitted`](Self::fitted), and [`Error::Picture`] if the encoder refuses it.
    pub fn thumbnail(&self, side: u32) -> Result<Vec<u8>> {
        let small = self.fitted(side)?;
        let color = if small.channels() == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .write_image(small.pixels(), small.width(), small.height(), color)
            .map_err(|e| Error::Picture { why: format!("JPEG: {e}") })?;
        Ok(bytes)
    }

    /// The picture in the bytes of a file; `name` is what errors call it.
    ///
    /// # Errors
    /// What is wrong with the bytes, within the bounds of all decoding.
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self> {
        decode(bytes, || name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_keep_their_shape() {
        let wide = Picture::new(300, 100, 3, vec![200; 90_000]).unwrap();
        let small = Picture::decode(&wide.thumbnail(96).unwrap(), "thumbnail").unwrap();
        assert_eq!((small.width(), small.height()), (96, 32));
        assert!(small.pixels().iter().all(|&v| v.abs_diff(200) < 4));
        let dot = Picture::new(1, 1, 1, vec![7]).unwrap();
        assert_eq!(dot.fitted(96).unwrap(), dot);
        assert!(dot.fitted(0).is_err() && Picture::decode(b"no picture", "x").is_err());
    }
}

//! Bytes of a PNG, JPEG or WebP file to a [`Picture`], with the limits set before anything is decoded.

mod jpeg;

use crate::{Error, Picture, Result};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::{Cursor, Read};
use std::path::Path;

/// The longest side of a picture that is decoded, in pixels.
pub const MAX_SIDE: u32 = 32_768;

/// The most pixels of a picture that is decoded: 128 Mi, more than cameras make.
pub const MAX_PIXELS: u64 = 128 << 20;

/// The largest file that is read, in bytes: 256 MiB.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Reads and decodes a file; its content says what format it is, not its name.
pub(crate) fn decode_file(path: &Path) -> Result<Picture> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|e| Error::read(&name, &e))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::read(&name, &e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let why = format!("the file has more than {} MiB", MAX_FILE_BYTES >> 20);
        return Err(Error::TooLarge { file: name.to_string(), why });
    }
    decode(&bytes, || name.to_string())
}

/// Decodes a file's bytes. Transparency is laid on white, 16 bits are rounded to 8, a camera's orientation is applied.
pub(crate) fn decode(bytes: &[u8], file: impl Fn() -> String) -> Result<Picture> {
    let fault = |e: image::ImageError| match e {
        image::ImageError::Limits(e) => {
            let why = format!("its header claims more than {MAX_SIDE} pixels a side or {MAX_PIXELS} in all ({e})");
            Error::TooLarge { file: file(), why }
        }
        e => Error::Decode { file: file(), why: e.to_string() },
    };
    if bytes.is_empty() {
        return Err(Error::Decode { file: file(), why: "the file is empty".into() });
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::Decode { file: file(), why: e.to_string() })?;
    if reader.format().is_none() {
        return Err(Error::Decode { file: file(), why: "its content is neither PNG, JPEG nor WebP".into() });
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_whole(bytes) {
        return Err(Error::Decode { file: file(), why: "the JPEG ends before its end marker, it is truncated".into() });
    }
    // Widest pixel known: 4 channels of 16 bits.
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        let why = format!(
            "its header claims {width} x {height} pixels, the limits are {MAX_SIDE} a side and {MAX_PIXELS} in all"
        );
        return Err(Error::TooLarge { file: file(), why });
    }
    let orientation = decoder.orientation().map_err(fault)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(fault)?;
    picture.apply_orientation(orientation);
    to_picture(picture).map_err(|e| Error::Decode { file: file(), why: e.to_string() })
}

fn to_picture(picture: DynamicImage) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    match picture.color() {
        ColorType::L8 | ColorType::L16 => Picture::new(width, height, 1, picture.into_luma8().into_raw()),
        ColorType::La8 | ColorType::La16 => {
            let raw = picture.into_luma_alpha8().into_raw();
            let grey: Vec<u8> = raw.chunks_exact(2).map(|p| on_white(p[0], p[1])).collect();
            Picture::new(width, height, 1, grey)
        }
        color if color.has_alpha() => {
            let raw = picture.into_rgba8().into_raw();
            let rgb: Vec<u8> = raw.chunks_exact(4).flat_map(|p| [0, 1, 2].map(|c| on_white(p[c], p[3]))).collect();
            Picture::new(width, height, 3, rgb)
        }
        _ => Picture::new(width, height, 3, picture.into_rgb8().into_raw()),
    }
}

/// `value` at opacity `alpha` over white, rounded to nearest.
fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

    fn png(pixels: &[u8], side: u32, color: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(pixels, side, side, color).unwrap();
        bytes
    }

    fn why(bytes: &[u8]) -> String {
        decode(bytes, || "a.png".into()).unwrap_err().to_string()
    }

    #[test]
    fn transparency_is_laid_on_white() {
        let clear = decode(&png(&[0, 0, 0, 0], 1, ExtendedColorType::Rgba8), String::new).unwrap();
        assert_eq!(clear.pixels(), [255, 255, 255]);
        let half = decode(&png(&[0, 128], 1, ExtendedColorType::La8), String::new).unwrap();
        assert_eq!(half.pixels(), [127]);
    }

    #[test]
    fn bad_bytes_are_named() {
        let good = png(&[7; 400], 20, ExtendedColorType::L8);
        assert_eq!(decode(&good, String::new).unwrap().pixels(), [7; 400]);
        assert!(why(&good[..good.len() / 2]).starts_with("a.png is no readable picture"));
        assert!(why(&good[..20]).starts_with("a.png is no readable picture"));
        assert!(why(b"").contains("empty"));
        assert!(why(b"hello world, this is no picture").contains("neither PNG"));
        let mut corrupt = good.clone();
        let middle = good.len() / 2;
        corrupt[middle] ^= 0xff;
        assert!(why(&corrupt).starts_with("a.png is no readable picture"));
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture =
            image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, (x * y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Of a JPEG or WebP cut anywhere, no half picture comes out.
    #[test]
    fn truncated_pictures_of_every_format_are_refused() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let whole = encoded(format);
            assert_eq!(decode(&whole, String::new).unwrap().width(), 64);
            // The last bytes of a PNG are its empty end chunk, all pixels are there.
            let least = if format == ImageFormat::Png { 16 } else { 2 };
            for length in (0..whole.len() - least).step_by(7).chain([whole.len() - least]) {
                assert!(
                    decode(&whole[..length], String::new).is_err(),
                    "{format:?} cut to {length} of {}",
                    whole.len()
                );
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

        /// Bytes changed anywhere: a picture or an error, never a panic.
        #[test]
        fn changed_bytes_do_no_harm(kind in 0usize..3, changes in proptest::collection::vec((0usize..2000, 0u8..=255), 1..6)) {
            let mut bytes = encoded([ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP][kind]);
            let length = bytes.len();
            changes.into_iter().for_each(|(at, value)| bytes[at % length] = value);
            let _ = decode(&bytes, String::new);
        }
    }

    #[test]
    fn a_camera_held_upright_gives_an_upright_picture() {
        let plain = encoded(ImageFormat::Jpeg);
        // One entry of an Exif directory: orientation (0x0112), short, 1 value, 6: turn clockwise to view.
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let length = (exif.len() as u16 + 2).to_be_bytes();
        exif.splice(0..0, [0xff, 0xe1, length[0], length[1]]);
        let turned = [&plain[..2], &exif[..], &plain[2..]].concat();
        let (plain, turned) = (decode(&plain, String::new).unwrap(), decode(&turned, String::new).unwrap());
        assert_eq!(turned, plain.rotated(3));
    }

    /// A PNG whose header claims a huge picture, with a correct checksum.
    #[test]
    fn a_header_that_lies_about_its_size_allocates_nothing() {
        for (width, height) in [(1u32 << 31, 1u32), (i32::MAX as u32, i32::MAX as u32), (30_000, 30_000)] {
            let mut bytes = png(&[7; 400], 20, ExtendedColorType::L8);
            bytes[16..20].copy_from_slice(&width.to_be_bytes());
            bytes[20..24].copy_from_slice(&height.to_be_bytes());
            let sum = crc32(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&sum.to_be_bytes());
            let why = why(&bytes);
            assert!(why.starts_with("a.png is too large: its header claims"), "{why}");
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &b| {
            (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
        })
    }
}

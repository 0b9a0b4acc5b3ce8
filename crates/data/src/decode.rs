//! Bytes of a picture's file to a [`Picture`], with the limits set before anything is decoded.

mod budget;
mod jpeg;

use crate::{Error, Picture, Result, read_regular};
use budget::Budget;
use image::codecs::png::PngDecoder;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// The longest side of a picture that is decoded, in pixels.
pub const MAX_SIDE: u32 = 32_768;

/// The most pixels of a picture that is decoded: 128 Mi, more than cameras make.
pub const MAX_PIXELS: u64 = 128 << 20;

/// The largest file that is read, in bytes: 256 MiB.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// What decoding may take on all threads together, in bytes: 1 GiB. A picture that takes more by itself is decoded alone.
pub const DECODING_BYTES: u64 = 1 << 30;

static BUDGET: Budget = Budget::new(DECODING_BYTES);

/// What lies in a PNG beside its pixels, unpacked: a colour profile has a few KiB.
const PNG_EXTRAS: u64 = 32 << 20;

/// Reads and decodes a file; its content says what format it is, not its name.
pub(crate) fn decode_file(path: &Path) -> Result<Picture> {
    decode(&read_regular(path, MAX_FILE_BYTES)?, || path.display().to_string())
}

/// Decodes a file's bytes: of an animation the first frame. Transparency is laid on white, 16 bits are rounded to 8, a camera's
/// orientation is applied.
pub(crate) fn decode(bytes: &[u8], file: impl Fn() -> String) -> Result<Picture> {
    let wrong = |why: &str| Error::Decode { file: file(), why: why.to_owned() };
    if bytes.is_empty() {
        return Err(wrong("the file is empty"));
    }
    let Ok(format) = image::guess_format(bytes) else {
        return Err(wrong("its content is neither PNG, JPEG, WebP, GIF, BMP nor TIFF"));
    };
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(wrong("the JPEG ends before its end marker, it is truncated"));
    }
    let fault = |e: ImageError| plain(e, format, &file);
    let mut decoder = open(bytes, format).map_err(fault)?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        let why = format!(
            "its header claims {width} x {height} pixels, the limits are {MAX_SIDE} a side and {MAX_PIXELS} in all"
        );
        return Err(Error::TooLarge { file: file(), why });
    }
    // The pixels, what the decoder keeps of them meanwhile, and what is made of them here.
    let _share = BUDGET.take(decoder.total_bytes().saturating_mul(3));
    let orientation = decoder.orientation().map_err(fault)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(fault)?;
    picture.apply_orientation(orientation);
    to_picture(picture).map_err(|e| Error::Decode { file: file(), why: e.to_string() })
}

/// A decoder that has read the header.
fn open(bytes: &[u8], format: ImageFormat) -> image::ImageResult<Box<dyn ImageDecoder + '_>> {
    let mut limits = Limits::default();
    // Widest pixel known: 4 channels of 16 bits.
    limits.max_alloc = Some(MAX_PIXELS * 8);
    if format == ImageFormat::Png {
        // Its limit holds for all that is not a pixel, too: a profile is unpacked before the size is known here.
        let mut extras = limits.clone();
        extras.max_alloc = Some(PNG_EXTRAS);
        let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), extras)?;
        decoder.set_limits(limits)?;
        return Ok(Box::new(decoder));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    Ok(Box::new(reader.into_decoder()?))
}

/// A decoder's words in one plain sentence: its own quote its insides.
fn plain(error: ImageError, format: ImageFormat, file: &impl Fn() -> String) -> Error {
    let name = match format {
        ImageFormat::Jpeg => "JPEG".to_owned(),
        ImageFormat::WebP => "WebP".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    };
    let said = error.to_string().to_lowercase();
    let why = match &error {
        ImageError::Limits(_) => {
            let why = format!("its header claims more than {MAX_SIDE} pixels a side or {MAX_PIXELS} in all");
            return Error::TooLarge { file: file(), why };
        }
        ImageError::Unsupported(_) => format!("this kind of {name} is not read; save it as an ordinary PNG or JPEG"),
        _ if ["end of file", "eof", "unexpected end", "failed to fill"].iter().any(|words| said.contains(words)) => {
            format!("the {name} ends too early, it is truncated")
        }
        _ if ["crc", "checksum"].iter().any(|word| said.contains(word)) => {
            format!("the {name} is damaged: a checksum in it is wrong")
        }
        _ => format!("the {name} is damaged"),
    };
    Error::Decode { file: file(), why }
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

    /// Whatever byte is wrong, what is said is a sentence: no names of types, no braces, one line.
    #[test]
    fn a_damaged_picture_is_said_in_plain_words() {
        for format in FORMATS {
            let whole = encoded(format);
            for at in (0..whole.len()).step_by(3) {
                for bad in [[&whole[..at], &[whole[at] ^ 0x5a], &whole[at + 1..]].concat(), whole[..at].to_vec()] {
                    let Err(error) = decode(&bad, || "a.png".into()) else { continue };
                    let said = error.to_string();
                    let odd = said.contains(['{', '}', '\n', '"']) || said.contains("::") || said.contains("Error");
                    assert!(!odd && said.len() < 200, "{format:?}, byte {at}: {said}");
                }
            }
        }
    }

    #[test]
    fn more_formats_are_read_and_of_an_animation_the_first_frame() {
        let want = decode(&encoded(ImageFormat::Png), String::new).unwrap();
        for format in [ImageFormat::Bmp, ImageFormat::Tiff] {
            assert_eq!(decode(&encoded(format), String::new).unwrap(), want, "{format:?}");
        }
        let mut gif = Vec::new();
        let frame =
            |level: u8| image::Frame::new(image::RgbaImage::from_pixel(5, 4, image::Rgba([level, level, level, 255])));
        image::codecs::gif::GifEncoder::new(&mut gif).encode_frames([frame(50), frame(200)]).unwrap();
        let first = decode(&gif, String::new).unwrap();
        assert_eq!((first.width(), first.height(), first.pixel(2, 2)), (5, 4, &[50, 50, 50][..]));
    }

    /// An 8 x 8 PNG whose profile unpacks to a gigabyte, in a few kilobytes.
    #[test]
    fn a_profile_that_unpacks_to_a_gigabyte_is_not_unpacked() {
        use std::io::Write;
        let good = png(&[7; 64], 8, ExtendedColorType::L8);
        let mut packed = flate2::write::ZlibEncoder::new(b"x\0\0".to_vec(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..1024 {
            packed.write_all(&zeros).unwrap();
        }
        let body = [&b"iCCP"[..], &packed.finish().unwrap()].concat();
        let mut chunk = (body.len() as u32 - 4).to_be_bytes().to_vec();
        chunk.extend(&body);
        chunk.extend(crc32(&body).to_be_bytes());
        // Behind the signature and the header.
        let bytes = [&good[..33], &chunk, &good[33..]].concat();
        let start = std::time::Instant::now();
        assert_eq!(decode(&bytes, String::new).unwrap().pixels(), [7; 64]);
        assert!(start.elapsed().as_secs() < 5);
    }

    const FORMATS: [ImageFormat; 6] =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff];

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
        for format in FORMATS {
            let whole = encoded(format);
            assert_eq!(decode(&whole, String::new).unwrap().width(), 64);
            // The last bytes of a PNG are its empty end chunk, all pixels are there; those of a GIF are its end.
            let least = if matches!(format, ImageFormat::Png | ImageFormat::Gif) { 16 } else { 2 };
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
        fn changed_bytes_do_no_harm(kind in 0usize..6, changes in proptest::collection::vec((0usize..2000, 0u8..=255), 1..6)) {
            let mut bytes = encoded(FORMATS[kind]);
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

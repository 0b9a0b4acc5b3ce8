use super::rectangle::Window;
use super::{Filter, PipelineConfig, Resize};
use crate::{Error, Picture, Result};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use npair_types::ImageSize;
use std::cell::RefCell;

/// Of pictures longer than this many times their shorter side the ends are cut off.
const LONGEST: u32 = 8;

thread_local! {
    /// Keeps its buffers from picture to picture; holds nothing that changes a result.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// The steps that do not depend on chance: colours and scaling, in bytes. Doing them twice changes nothing.
///
/// Random resized crops are cut out of the picture in its own size, so scaling is left to [`fit`] then; but no more is kept
/// than the smallest crop needs.
pub(crate) fn prepare(picture: &Picture, config: &PipelineConfig) -> Result<Picture> {
    let picture = match config.channels.count() {
        1 => picture.to_grey(),
        _ => picture.to_rgb(),
    };
    let Some([least, _]) = config.augment.resized_crop else { return fit(&picture, config) };
    let wanted = |side: u32| (f64::from(side * config.supersample) / f64::from(least).sqrt()).ceil() as u32;
    let (smallest, frame) = (config.size.map(wanted), frame(config));
    let frame = ImageSize { height: smallest.height.max(frame.height), width: smallest.width.max(frame.width) };
    let smaller = covering(picture.width(), picture.height(), frame);
    match smaller[0] <= picture.width() && smaller[1] <= picture.height() {
        true => scale(&picture, whole(&picture), smaller, config.filter),
        false => Ok(picture),
    }
}

/// What a scaled picture has to cover, or be, in samples.
fn frame(config: &PipelineConfig) -> ImageSize {
    config.resize.frame(config.size).map(|side| side * config.supersample)
}

/// A prepared picture scaled as [`Resize`] has it.
pub(crate) fn fit(picture: &Picture, config: &PipelineConfig) -> Result<Picture> {
    let (w, h, frame) = (picture.width(), picture.height(), frame(config));
    match config.resize {
        Resize::Exact | Resize::Square(_) => {
            return scale(picture, whole(picture), [frame.width, frame.height], config.filter);
        }
        Resize::Fit => return framed(picture, frame, config.filter),
        Resize::ShortSide(_) => {}
    }
    let (width, height) = (w.min(h.saturating_mul(LONGEST)), h.min(w.saturating_mul(LONGEST)));
    let window = Window { left: (w - width) / 2, top: (h - height) / 2, width, height };
    scale(picture, window, covering(width, height, frame), config.filter)
}

/// The whole picture as large as fits into a frame, in the middle, on the colour of its border.
fn framed(picture: &Picture, frame: ImageSize, filter: Filter) -> Result<Picture> {
    let (w, h) = (picture.width(), picture.height());
    if [w, h] == [frame.width, frame.height] {
        return Ok(picture.clone());
    }
    let size = match u64::from(w) * u64::from(frame.height) >= u64::from(h) * u64::from(frame.width) {
        true => [frame.width, in_proportion(h, w, frame.width).clamp(1, frame.height)],
        false => [in_proportion(w, h, frame.height).clamp(1, frame.width), frame.height],
    };
    let (small, channels) = (scale(picture, whole(picture), size, filter)?, usize::from(picture.channels()));
    let mut pixels = ground(picture).repeat(frame.area() as usize);
    let (left, top) = ((frame.width - size[0]) / 2, (frame.height - size[1]) / 2);
    for (y, line) in small.pixels().chunks_exact(size[0] as usize * channels).enumerate() {
        let at = ((top as usize + y) * frame.width as usize + left as usize) * channels;
        pixels[at..][..line.len()].copy_from_slice(line);
    }
    Picture::new(frame.width, frame.height, picture.channels(), pixels)
}

/// The median of every channel over the border of a picture.
fn ground(picture: &Picture) -> Vec<u8> {
    let (w, h) = (picture.width(), picture.height());
    let border: Vec<&[u8]> = (0..w)
        .flat_map(|x| [(x, 0), (x, h - 1)])
        .chain((0..h).flat_map(|y| [(0, y), (w - 1, y)]))
        .map(|(x, y)| picture.pixel(x, y))
        .collect();
    let median = |channel: usize| {
        let mut levels: Vec<u8> = border.iter().map(|pixel| pixel[channel]).collect();
        let middle = levels.len() / 2;
        *levels.select_nth_unstable(middle).1
    };
    (0..usize::from(picture.channels())).map(median).collect()
}

fn whole(picture: &Picture) -> Window {
    Window { left: 0, top: 0, width: picture.width(), height: picture.height() }
}

/// Width and height of the smallest picture of these proportions that covers a frame: one side is the frame's, the other rounded to
/// nearest.
fn covering(width: u32, height: u32, frame: ImageSize) -> [u32; 2] {
    match u64::from(width) * u64::from(frame.height) >= u64::from(height) * u64::from(frame.width) {
        true => [in_proportion(width, height, frame.height), frame.height],
        false => [frame.width, in_proportion(height, width, frame.width)],
    }
}

/// What one side becomes when the other one is scaled to `side`, rounded to nearest.
fn in_proportion(one: u32, other: u32, side: u32) -> u32 {
    let rounded = (2 * u64::from(one) * u64::from(side) + u64::from(other)) / (2 * u64::from(other));
    u32::try_from(rounded).unwrap_or(u32::MAX)
}

/// A part of a picture, scaled to width and height; the rest is not looked at.
pub(crate) fn scale(picture: &Picture, part: Window, size: [u32; 2], filter: Filter) -> Result<Picture> {
    let (w, h, [width, height]) = (picture.width(), picture.height(), size);
    if part == whole(picture) && size == [w, h] {
        return Ok(picture.clone());
    }
    let fault = |e: &dyn std::fmt::Display| Error::Picture { why: format!("scaling {w} x {h} pixels: {e}") };
    let kind = if picture.channels() == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(w, h, picture.pixels(), kind).map_err(|e| fault(&e))?;
    let mut target = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kernel(filter))).crop(
        f64::from(part.left),
        f64::from(part.top),
        f64::from(part.width),
        f64::from(part.height),
    );
    RESIZER.with_borrow_mut(|resizer| resizer.resize(&source, &mut target, &options)).map_err(|e| fault(&e))?;
    Picture::new(width, height, picture.channels(), target.into_vec())
}

/// A whole picture, scaled to width and height for people to look at.
pub(crate) fn scaled(picture: &Picture, width: u32, height: u32) -> Result<Picture> {
    scale(picture, whole(picture), [width, height], Filter::Bilinear)
}

fn kernel(filter: Filter) -> FilterType {
    match filter {
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::CatmullRom => FilterType::CatmullRom,
        Filter::Lanczos3 => FilterType::Lanczos3,
    }
}

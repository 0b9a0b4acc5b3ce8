use super::{Filter, PipelineConfig, Resize};
use crate::{Error, Picture, Result};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::cell::RefCell;

/// Of pictures longer than this many times their shorter side the ends are cut off.
const LONGEST: u32 = 8;

thread_local! {
    /// Keeps its buffers from picture to picture; holds nothing that changes a result.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// The steps that do not depend on chance: colours and scaling, in bytes. Doing them twice changes nothing.
pub(crate) fn prepare(picture: &Picture, config: &PipelineConfig) -> Result<Picture> {
    let picture = match config.channels.count() {
        1 => picture.to_grey(),
        _ => picture.to_rgb(),
    };
    let (w, h) = (picture.width(), picture.height());
    let side = config.resize.side(config.size) * config.supersample;
    let (crop_w, crop_h, width, height) = match config.resize {
        Resize::Exact | Resize::Square(_) => (w, h, side, side),
        Resize::ShortSide(_) => {
            let (crop_w, crop_h) = (w.min(h.saturating_mul(LONGEST)), h.min(w.saturating_mul(LONGEST)));
            let longer = |long: u32, short: u32| {
                // Rounded to nearest; at most LONGEST * side, which fits.
                ((2 * u64::from(long) * u64::from(side) + u64::from(short)) / (2 * u64::from(short))) as u32
            };
            match crop_w >= crop_h {
                true => (crop_w, crop_h, longer(crop_w, crop_h), side),
                false => (crop_w, crop_h, side, longer(crop_h, crop_w)),
            }
        }
    };
    if (crop_w, crop_h) == (w, h) && (width, height) == (w, h) {
        return Ok(picture);
    }
    let fault = |e: &dyn std::fmt::Display| Error::Picture { why: format!("scaling {w} x {h} pixels: {e}") };
    let kind = if picture.channels() == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(w, h, picture.pixels(), kind).map_err(|e| fault(&e))?;
    let mut target = Image::new(width, height, kind);
    let (left, top) = ((w - crop_w) / 2, (h - crop_h) / 2);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kernel(config.filter))).crop(
        f64::from(left),
        f64::from(top),
        f64::from(crop_w),
        f64::from(crop_h),
    );
    RESIZER.with_borrow_mut(|resizer| resizer.resize(&source, &mut target, &options)).map_err(|e| fault(&e))?;
    Picture::new(width, height, picture.channels(), target.into_vec())
}

fn kernel(filter: Filter) -> FilterType {
    match filter {
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::CatmullRom => FilterType::CatmullRom,
        Filter::Lanczos3 => FilterType::Lanczos3,
    }
}

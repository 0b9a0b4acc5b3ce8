//! An index of made-up pictures, and an embedder that looks at their colours alone.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use npair_index::{Index, IndexSettings, NewRow};
use npair_metrics::{Calibration, Interval, Threshold, Verifier};
use npair_serve::Embedder;
use npair_similarity::Rows;
use npair_types::Measure;
use std::error::Error;
use std::io::Cursor;
use std::path::Path;

/// Classes, and the colour of each.
const CLASSES: [(&str, [u8; 3]); 6] = [
    ("barn owl", [222, 184, 120]),
    ("red fox", [205, 82, 30]),
    ("<b>tree & \"frog\"</b>", [60, 170, 70]),
    ("kingfisher", [20, 120, 200]),
    ("a class with a name that is very long and has to be broken over several lines", [150, 60, 170]),
    ("grey heron", [130, 140, 150]),
];
/// Pictures of each.
const EACH: u8 = 8;

/// Mean colours of a grid of four by four.
pub struct Colours;

impl Embedder for Colours {
    fn embed(&self, picture: &[u8]) -> Result<Vec<f32>, String> {
        let small = decoded(picture)?.resize_exact(4, 4, image::imageops::FilterType::Triangle).to_rgb8();
        Ok(small.into_raw().into_iter().map(|value| f32::from(value) / 127.5 - 1.).collect())
    }

    fn thumbnail(&self, picture: &[u8]) -> Result<Vec<u8>, String> {
        let mut bytes = Cursor::new(Vec::new());
        let small = decoded(picture)?.thumbnail(96, 96).to_rgb8();
        DynamicImage::from(small).write_to(&mut bytes, ImageFormat::Png).map_err(|e| e.to_string())?;
        Ok(bytes.into_inner())
    }
}

fn decoded(picture: &[u8]) -> Result<DynamicImage, String> {
    let mut reader = image::ImageReader::new(Cursor::new(picture)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(8192), Some(8192), Some(256 << 20));
    reader.limits(limits);
    reader.decode().map_err(|e| format!("the picture cannot be read: {e}"))
}

/// A picture of a class: its colour with a stripe that differs.
pub fn picture(class: usize, which: u8) -> Result<Vec<u8>, Box<dyn Error>> {
    let colour = CLASSES[class % CLASSES.len()].1;
    let drawn = RgbImage::from_fn(160, 120, |x, y| {
        let stripe = (x + 2 * y + 9 * u32::from(which)) % 40 < 4 * u32::from(which % 5);
        Rgb(colour.map(|value| if stripe { value / 2 + 100 } else { value.saturating_sub((y / 8) as u8) }))
    });
    let mut bytes = Cursor::new(Vec::new());
    drawn.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// An index of all, with thresholds that were not learned.
pub fn index(folder: &Path) -> Result<Index, Box<dyn Error>> {
    let mut index = Index::create(folder, IndexSettings::new(48, Measure::Cosine))?;
    for (class, (name, _)) in CLASSES.iter().enumerate() {
        for which in 0..EACH {
            let bytes = picture(class, which)?;
            let (vector, small) = (Colours.embed(&bytes)?, Colours.thumbnail(&bytes)?);
            let path = format!("pictures/{}/{which:03}.png", name.replace(' ', "-"));
            let thumbnail = (which != 3).then_some(&small[..]);
            let new = NewRow { path: &path, class: Some(name), added: 1_700_000_000, thumbnail };
            index.add(&[new], Rows::new(&vector, 48)?)?;
        }
    }
    let interval = Interval { low: 0.5, high: 1. };
    let point = |far: f64, threshold: f64| Threshold {
        far,
        threshold,
        interval,
        far_interval: Interval { low: 0., high: 0.2 },
        tar: 0.9,
        pairs: 100,
        warning: None,
    };
    let thresholds = vec![point(0.001, 0.97), point(0.01, 0.95), point(0.1, 0.85)];
    let calibration = Some(Calibration::Logistic { slope: 40., offset: -38. });
    index.set_verifier(Some(Verifier { measure: Measure::Cosine, thresholds, calibration }))?;
    Ok(index)
}

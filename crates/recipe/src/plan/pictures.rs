//! How pictures are made into pixels, and the network that takes them.

use super::{PictureFacts, PictureKind, PictureShape, Plan};
use crate::config::written::images_with;
use crate::draft::Draft;
use crate::{Device, Error, Result, pretrained};
use npair_backbones::{BackboneConfig, InputSpec};
use npair_data::{AugmentConfig, Channels, Fill, PipelineConfig, Resize};
use npair_types::ImageSize;

/// Side of the pixels of strokes: what they show is told apart at little more than an icon's size.
const STROKES: u32 = 32;
/// Side for things on a plain ground.
const PLAIN_GROUND: u32 = 32;
/// Least and largest sides for a network with weights, where it trains on a processor.
const LEAST_OF_WEIGHTS: u32 = 96;
const MOST_OF_WEIGHTS: u32 = 160;
/// Side for photographs, by the shorter side of the picture.
const PHOTOGRAPHS: u32 = 64;
/// Pictures that are longer than this many times their shorter side are squeezed.
const LONGEST: f64 = 4.;

/// Chooses `[images]`, and the size of the network's input with them.
pub(super) fn choose(draft: &mut Draft, seen: &PictureFacts, plan: &mut Plan) -> Result<()> {
    let told = match &draft.config.model.backbone {
        Some(backbone) if draft.config.model.pretrained.is_some() => pretrained::told_images(&draft.config, backbone)?,
        _ => None,
    };
    let without_classes = draft.config.data.views > 0;
    let (usual, why) = match told {
        Some(told) => {
            let step = draft.config.model.backbone.map_or(1, |backbone| backbone.size_step() as u32);
            of_weights(&told, seen, draft.config.device == Device::Cpu, step)
        }
        None => match draft.config.model.backbone {
            // Somebody's own network says what it takes.
            Some(_) if !without_classes => return Ok(()),
            Some(backbone) => for_network(usual(seen), backbone.input()),
            None => usual(seen),
        },
    };
    let (usual, why) = if without_classes { strongly_changed(usual, seen) } else { (usual, why) };
    let whole = images_with(&usual, draft.images.clone());
    let images: PipelineConfig = whole
        .try_into()
        .map_err(|e: toml::de::Error| Error::Config { place: "[images]".to_owned(), why: e.message().to_owned() })?;
    let but = if draft.images.is_empty() { "" } else { "; but for what was written" };
    plan.choose("images", in_words(&images), format!("{why}{but}"));
    match draft.config.model.backbone {
        Some(backbone) if !draft.given.has("model.backbone.size") => {
            draft.config.model.backbone = Some(sized(backbone, images.size));
        }
        None if !draft.given.has("model.blocks") => {
            // The last map keeps two or three pixels a side, so that what is where is still known.
            draft.config.model.blocks = (images.size.shorter().max(2).ilog2() as usize).saturating_sub(1).clamp(1, 4);
        }
        _ => {}
    }
    draft.config.images = Some(images);
    Ok(())
}

/// The network for another size of pictures.
fn sized(backbone: BackboneConfig, size: ImageSize) -> BackboneConfig {
    let resized = serde_json::to_value(backbone).and_then(|mut settings| {
        settings["size"] = serde_json::to_value(size)?;
        serde_json::from_value(settings)
    });
    // One of a fixed size stays as it is, which is said when the two are compared.
    resized.unwrap_or(backbone)
}

/// The pipeline of pretrained weights, for pictures of a kind: on a processor no larger than pays, and of whole steps that the network
/// takes.
fn of_weights(told: &PipelineConfig, seen: &PictureFacts, on_cpu: bool, step: u32) -> (PipelineConfig, String) {
    let wanted = (seen.short_side() * 3 / 2).div_ceil(32) * 32;
    let published = told.size.shorter();
    let most = if on_cpu { published.min(MOST_OF_WEIGHTS) } else { published };
    let size = (wanted.clamp(LEAST_OF_WEIGHTS.min(most), most) / step * step).max(step);
    // Steps that halve well, where the network takes any.
    let base = told.clone().with_size(shaped(size, seen, if step == 1 { 8 } else { step }));
    let of = format!("pictures are {} x {} in the middle", seen.width, seen.height);
    match seen.kind {
        PictureKind::Photographs => (
            flipped(base, seen),
            format!("mean and deviation of the weights; {of}: cut out at random{}", mirrored(seen)),
        ),
        PictureKind::PlainGround | PictureKind::Strokes { .. } => {
            let (resize, part) = whole_or_middle(base.size, seen);
            let why = format!(
                "mean and deviation of the weights; {of}, of things on a plain ground: {part}, shifted a little{}",
                mirrored(seen)
            );
            (PipelineConfig { resize, augment: little(seen), ..base }, why)
        }
    }
}

/// The same for a network that takes pixels of its own size and channels.
fn for_network((images, why): (PipelineConfig, String), takes: InputSpec) -> (PipelineConfig, String) {
    let channels = if takes.channels == 1 { Channels::Grey } else { Channels::Rgb };
    (images.with_size(takes.size).with_channels(channels), why)
}

/// What is learned from where pictures have no classes: changes that a picture is to be known through, as strong as leave something
/// to know it by. What the network is to tell apart must not be among them: colours, where they matter, or a side.
fn strongly_changed(images: PipelineConfig, seen: &PictureFacts) -> (PipelineConfig, String) {
    let of = format!("pictures are {} x {} in the middle", seen.width, seen.height);
    // A deviation of 2 pixels for 224 of them.
    let sigma = (images.size.shorter() as f32 / 112.).max(0.5);
    let colours = AugmentConfig {
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.4,
        hue: 0.1,
        grayscale: 0.2,
        blur: 0.5,
        blur_sigma: [0.1, sigma],
        ..images.augment
    };
    let moved = |of: AugmentConfig| AugmentConfig { rotate: 15., scale: [0.7, 1.2], shear: 10., shift: 0.12, ..of };
    let (augment, how) = match seen.kind {
        PictureKind::Photographs => (
            AugmentConfig { resized_crop: Some([0.2, 1.]), ..colours },
            "a part of each is cut out, mirrored, in other colours",
        ),
        PictureKind::PlainGround => {
            (moved(colours), "things on a plain ground are turned, scaled and shifted, in other colours")
        }
        PictureKind::Strokes { .. } => {
            (AugmentConfig { elastic: 0.03, ..moved(images.augment) }, "strokes are turned, slanted, scaled and bent")
        }
    };
    (
        PipelineConfig { augment, ..images },
        format!("{of}; strongly changed, for that is all that is learned from: {how}"),
    )
}

/// Small changes that leave a thing on a plain ground whole.
fn little(seen: &PictureFacts) -> AugmentConfig {
    let flip = if seen.mirrored == Some(true) { 0.5 } else { 0. };
    AugmentConfig { rotate: 10., scale: [0.85, 1.15], shear: 5., shift: 0.08, flip, ..AugmentConfig::default() }
}

/// Photographs are mirrored unless that was seen to make another class of them.
fn flipped(images: PipelineConfig, seen: &PictureFacts) -> PipelineConfig {
    let flip = if seen.mirrored == Some(false) { 0. } else { images.augment.flip };
    PipelineConfig { augment: AugmentConfig { flip, ..images.augment }, ..images }
}

/// What was found out about mirror images, in words.
fn mirrored(seen: &PictureFacts) -> &'static str {
    match (seen.mirrored, seen.kind) {
        (Some(true), _) => ", mirrored (their pixels stay like those of their class)",
        (Some(false), _) => ", not mirrored (that makes another class of them)",
        (None, PictureKind::Photographs) => ", mirrored (pixels do not tell whether that makes another class of them)",
        (None, _) => ", not mirrored (pixels do not tell whether that makes another class of them)",
    }
}

/// The pipeline for pictures of a kind, and why.
fn usual(seen: &PictureFacts) -> (PipelineConfig, String) {
    let channels = if seen.grey { Channels::Grey } else { Channels::Rgb };
    let at_most = |side: u32| side.min(seen.short_side().max(8)) / 4 * 4;
    let of = format!("of {} pictures, {} x {} in the middle", seen.looked_at, seen.width, seen.height);
    match seen.kind {
        PictureKind::Strokes { on_dark } => {
            let base = PipelineConfig::strokes(shaped(at_most(STROKES), seen, 4));
            let fill = Fill::Value(if on_dark { 0. } else { 1. });
            let augment = AugmentConfig { fill, ..base.augment };
            let ground = if on_dark { "dark" } else { "light" };
            (
                PipelineConfig { invert: !on_dark, augment, ..base },
                format!("strokes on a {ground} ground {of}: turned, slanted and shifted a little, never mirrored"),
            )
        }
        PictureKind::PlainGround => {
            let base = PipelineConfig::photos(shaped(at_most(PLAIN_GROUND), seen, 4)).with_channels(channels);
            let (resize, part) = whole_or_middle(base.size, seen);
            (
                PipelineConfig { resize, augment: little(seen), ..base },
                format!("things on a plain ground {of}: {part}, turned and shifted a little{}", mirrored(seen)),
            )
        }
        PictureKind::Photographs => (
            flipped(PipelineConfig::photos(shaped(at_most(PHOTOGRAPHS), seen, 4)).with_channels(channels), seen),
            format!("photographs {of}: cut out at random{}", mirrored(seen)),
        ),
    }
}

/// As many pixels as a square of this side has, in the shape of the pictures, if they have one; in whole steps.
fn shaped(side: u32, seen: &PictureFacts, step: u32) -> ImageSize {
    let PictureShape::Oblong(shape) = seen.shape else { return side.into() };
    let stretch = shape.clamp(1. / LONGEST, LONGEST).sqrt();
    let whole = |length: f64| ((length / f64::from(step)).round() as u32).max(1) * step;
    ImageSize { height: whole(f64::from(side) / stretch), width: whole(f64::from(side) * stretch) }
}

/// How things on a plain ground are scaled, and what is seen of them then. Of pictures of many shapes the middle, for it keeps their
/// proportions and shows them larger than the whole would be; whole on their ground, or squeezed, they were learned no better
/// (decision 0026).
fn whole_or_middle(size: ImageSize, seen: &PictureFacts) -> (Resize, &'static str) {
    match seen.shape {
        PictureShape::Mixed => (Resize::ShortSide(size.shorter()), "the middle"),
        PictureShape::Square | PictureShape::Oblong(_) => (Resize::Exact, "whole"),
    }
}

/// The size and channels of the pixels.
fn in_words(images: &PipelineConfig) -> String {
    let channels = if images.channels == Channels::Grey { "grey" } else { "rgb" };
    let ImageSize { height, width } = images.size;
    match height == width {
        true => format!("{height} x {width}, {channels}"),
        false => format!("{height} high x {width} wide, {channels}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of one shape keep it, at the cost of a square.
    #[test]
    fn shapes_are_kept() {
        let seen = |shape| PictureFacts {
            looked_at: 10,
            width: 100,
            height: 200,
            shape,
            grey: false,
            kind: PictureKind::PlainGround,
            mirrored: None,
        };
        let size = |side, shape, step| shaped(side, &seen(shape), step);
        let oblong = PictureShape::Oblong;
        assert_eq!(size(32, PictureShape::Square, 4), 32.into());
        assert_eq!(size(32, PictureShape::Mixed, 4), 32.into());
        assert_eq!(size(32, oblong(0.5), 4), ImageSize { height: 44, width: 24 });
        assert_eq!(size(32, oblong(30.), 4), ImageSize { height: 16, width: 64 });
        assert_eq!(size(112, oblong(0.5), 14), ImageSize { height: 154, width: 84 });
        let images = |shape| usual(&seen(shape)).0;
        assert_eq!(images(oblong(0.5)).size, ImageSize { height: 44, width: 24 });
        assert_eq!(images(oblong(0.5)).resize, Resize::Exact);
        let mixed = images(PictureShape::Mixed);
        assert_eq!((mixed.size, mixed.resize), (32.into(), Resize::ShortSide(32)));
    }

    /// Whatever the pictures, a network with weights takes the size that is chosen for it.
    #[test]
    fn sizes_for_weights_are_those_that_the_network_takes() {
        let seen = |side: u32| PictureFacts {
            looked_at: 10,
            width: side,
            height: side,
            shape: PictureShape::Square,
            grey: false,
            kind: PictureKind::PlainGround,
            mirrored: None,
        };
        for step in [1, 14, 16, 32] {
            for side in [8, 64, 100, 500] {
                for on_cpu in [false, true] {
                    let told = PipelineConfig { size: 224.into(), ..PipelineConfig::photos(224) };
                    let (images, _) = of_weights(&told, &seen(side), on_cpu, step);
                    let side = images.size.shorter();
                    assert!(
                        images.size.is_square() && side.is_multiple_of(step) && (84..=224).contains(&side),
                        "{side}"
                    );
                }
            }
        }
    }
}

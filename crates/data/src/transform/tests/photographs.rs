//! What is done to photographs.

use super::*;
use crate::{Cached, Dataset, GlyphConfig, GlyphSet, RandAugment};
use npair_types::ExampleId;
use std::sync::Arc;

fn rgb(size: u32, augment: AugmentConfig) -> PipelineConfig {
    PipelineConfig { channels: Channels::Rgb, size: size.into(), augment, ..PipelineConfig::default() }
}

/// One setting of each kind, far from its default.
fn each() -> Vec<AugmentConfig> {
    let none = AugmentConfig::default();
    vec![
        AugmentConfig { resized_crop: Some([0.1, 0.6]), ..none },
        AugmentConfig { flip_vertical: 1.0, ..none },
        AugmentConfig { rand_augment: Some(RandAugment { operations: 3, magnitude: 20.0 }), ..none },
        AugmentConfig { brightness: 0.7, ..none },
        AugmentConfig { contrast: 0.7, ..none },
        AugmentConfig { saturation: 0.7, ..none },
        AugmentConfig { hue: 0.3, ..none },
        AugmentConfig { grayscale: 1.0, ..none },
        AugmentConfig { blur: 1.0, blur_sigma: [1.0, 2.0], ..none },
        AugmentConfig { erasing: 1.0, ..none },
    ]
}

#[test]
fn what_is_off_draws_nothing() {
    let pipeline = Pipeline::new(rgb(12, AugmentConfig { elastic: 0.1, ..AugmentConfig::default() })).unwrap();
    let (mut used, mut want) = (rng(0), rng(0));
    pipeline.augment(&noise(12, 12, 3), &mut used, &mut vec![0.0; 432]).unwrap();
    Change::random(&AugmentConfig::default(), &mut want);
    super::super::elastic::Elastic::random(0.1, 12.into(), &mut want);
    assert_eq!(used, want);
}

#[test]
fn every_setting_changes_pictures_in_training_alone_and_the_same_way_each_time() {
    let picture = noise(12, 12, 3);
    let plain = evaluated(&rgb(12, AugmentConfig::default()), &picture);
    for augment in each() {
        let config = rgb(12, augment);
        assert_eq!(evaluated(&config, &picture), plain, "{augment:?}");
        let changed = |place| augmented(&config, &picture, place);
        assert!((0..20).any(|place| changed(place) != plain), "{augment:?}");
        assert!((0..20).all(|place| changed(place) == changed(place)));
    }
}

#[test]
fn grey_pictures_have_no_hue_to_change() {
    let picture = noise(12, 12, 1);
    let none = AugmentConfig::default();
    for augment in [
        AugmentConfig { saturation: 1.0, ..none },
        AugmentConfig { hue: 0.5, ..none },
        AugmentConfig { grayscale: 1.0, ..none },
    ] {
        let grey = PipelineConfig { size: 12.into(), augment, ..PipelineConfig::default() };
        assert_eq!(augmented(&grey, &picture, 1), evaluated(&grey, &picture));
        // In three equal channels they are the same up to rounding.
        let (got, want) = (augmented(&rgb(12, augment), &picture, 1), evaluated(&rgb(12, augment), &picture));
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5), "{augment:?}");
    }
    for augment in each() {
        let grey = PipelineConfig { size: 12.into(), augment, ..PipelineConfig::default() };
        assert!((0..20).all(|place| augmented(&grey, &noise(30, 20, 3), place).iter().all(|v| v.is_finite())));
    }
}

#[test]
fn turning_one_on_leaves_the_turn_as_it_was() {
    let picture = noise(12, 12, 3);
    let turn = AugmentConfig { rotate: 30.0, flip: 0.5, ..AugmentConfig::default() };
    let hardly = AugmentConfig {
        brightness: 1e-6,
        hue: 1e-6,
        grayscale: 1e-12,
        blur: 1.0,
        blur_sigma: [0.01, 0.01],
        erasing: 1e-12,
        ..turn
    };
    for place in 0..10 {
        let (a, b) = (augmented(&rgb(12, turn), &picture, place), augmented(&rgb(12, hardly), &picture, place));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn vertical_flips_mirror_top_and_bottom() {
    let picture = noise(8, 8, 1);
    for (flip, k) in [(0.0, 1), (1.0, 2)] {
        let size = 8 / k;
        let of = |flip_vertical| AugmentConfig { flip, flip_vertical, ..AugmentConfig::default() };
        let config =
            |augment| PipelineConfig { size: size.into(), supersample: k, augment, ..PipelineConfig::default() };
        let (plain, turned) = (augmented(&config(of(0.0)), &picture, 0), augmented(&config(of(1.0)), &picture, 0));
        let size = size as usize;
        for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
            assert_eq!(turned[y * size + x], plain[(size - 1 - y) * size + x]);
        }
    }
    // Flips come last, along either axis: what was moved down stands higher then.
    let change = Change {
        degrees: 0.0,
        scale: 1.0,
        shear: 0.0,
        shift: [0.25, 0.125],
        place: None,
        mirror: false,
        upside_down: true,
    };
    let mut out = vec![0.0; 64];
    Warp::changed(&change, &picture, 8.into()).sample(&picture, Fill::Value(0.0), (8.into(), 1), |_, i, v| out[i] = v);
    for (y, x) in (0..7).flat_map(|y| (2..8).map(move |x| (y, x))) {
        assert_eq!(out[y * 8 + x], f32::from(picture.pixel(x as u32 - 2, 6 - y as u32)[0]));
    }
}

/// A ramp shows where a pixel of the result comes from.
#[test]
fn resized_crops_are_parts_of_the_picture_scaled() {
    let (w, h) = (200u32, 160u32);
    let pixels = |x: u32, y: u32| [x as u8, y as u8, 0];
    let ramp =
        Picture::new(w, h, 3, (0..h).flat_map(|y| (0..w).flat_map(move |x| pixels(x, y))).collect::<Vec<_>>()).unwrap();
    let config = rgb(20, AugmentConfig { resized_crop: Some([0.25, 0.64]), ..AugmentConfig::default() });
    for place in 0..200 {
        let out = augmented(&config, &ramp, place);
        let at = |channel: usize, x: usize, y: usize| out[channel * 400 + y * 20 + x] * 255.0;
        // 18 pixels apart, away from the border where the kernel is cut off.
        let (wide, high) = ((at(0, 18, 10) - at(0, 1, 10)) * 20.0 / 17.0, (at(1, 10, 18) - at(1, 10, 1)) * 20.0 / 17.0);
        let (area, aspect) = (wide * high / (w * h) as f32, wide / high);
        // The picture is kept at 50 x 40, where sides are rounded by half of 20 at worst.
        assert!((0.23..0.68).contains(&area) && (0.7..1.43).contains(&aspect), "{area} {aspect}");
        let left = at(0, 1, 10) - 1.5 * wide / 20.0;
        assert!((-4.0..=204.0 - wide).contains(&left));
    }
    let whole = rgb(20, AugmentConfig { resized_crop: Some([1.0, 1.0]), ..AugmentConfig::default() });
    let picture = noise(40, 40, 3);
    assert_eq!(augmented(&whole, &picture, 0), evaluated(&whole, &picture));
}

#[test]
fn kept_pictures_give_the_same_bits_with_resized_crops() {
    let glyphs = GlyphConfig { classes: 3, instances: 2, size: 90, ..GlyphConfig::default() };
    let plain: Arc<dyn Dataset> = Arc::new(GlyphSet::new(glyphs).unwrap());
    for resize in [Resize::Exact, Resize::ShortSide(24)] {
        let augment = AugmentConfig { resized_crop: Some([0.3, 1.0]), ..AugmentConfig::default() };
        let config = PipelineConfig { size: 20.into(), resize, augment, ..PipelineConfig::default() };
        let pipeline = Pipeline::new(config.clone()).unwrap();
        let cached = Cached::new(plain.clone(), &pipeline, 1 << 20);
        for id in (0..6).map(ExampleId) {
            let picture = plain.load(id).unwrap();
            for _ in 0..2 {
                let kept = cached.load(id).unwrap();
                // 20 / sqrt(0.3) = 36.5
                assert_eq!((kept.width(), kept.height()), (37, 37));
                assert_eq!(evaluated(&config, &kept), evaluated(&config, &picture));
                assert_eq!(augmented(&config, &kept, 4), augmented(&config, &picture, 4));
            }
        }
    }
}

#[test]
fn erasing_sets_a_rectangle_to_the_mean() {
    let picture = Picture::new(40, 40, 3, vec![200; 4800]).unwrap();
    let augment = AugmentConfig { erasing: 0.5, ..AugmentConfig::default() };
    let mean = vec![0.25];
    let config = PipelineConfig { mean, ..rgb(40, augment) };
    let value = evaluated(&config, &picture)[0];
    let mut erased = 0;
    for place in 0..400 {
        let out = augmented(&config, &picture, place);
        let gone: Vec<usize> = (0..1600).filter(|&i| out[i] == 0.0).collect();
        assert!((0..4800).all(|i| out[i] == if gone.contains(&(i % 1600)) { 0.0 } else { value }));
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else { continue };
        let (wide, high) = (last % 40 - first % 40 + 1, last / 40 - first / 40 + 1);
        assert_eq!(wide * high, gone.len());
        // Sides are rounded to whole pixels: half of 4 at worst.
        assert!(
            (0.016..0.35).contains(&(gone.len() as f32 / 1600.0)) && (0.25..4.0).contains(&(wide as f32 / high as f32))
        );
        erased += 1;
    }
    assert!((150..250).contains(&erased), "{erased}"); // a deviation of 10
}

#[test]
fn impossible_ranges_are_named() {
    let why = |augment| Pipeline::new(rgb(8, augment)).unwrap_err().to_string();
    let none = AugmentConfig::default();
    let rand = |operations, magnitude| Some(RandAugment { operations, magnitude });
    for (augment, start) in [
        (
            AugmentConfig { resized_crop: Some([0.0, 1.0]), ..none },
            "augment.resized_crop = 0 is not possible: it must be from",
        ),
        (AugmentConfig { resized_crop: Some([0.5, 0.4]), ..none }, "augment.resized_crop = [0.5, 0.4]"),
        (AugmentConfig { flip_vertical: 1.5, ..none }, "augment.flip_vertical = 1.5"),
        (AugmentConfig { rand_augment: rand(0, 9.0), ..none }, "augment.rand_augment.operations = 0"),
        (AugmentConfig { rand_augment: rand(2, 31.0), ..none }, "augment.rand_augment.magnitude = 31"),
        (AugmentConfig { brightness: -0.1, ..none }, "augment.brightness = -0.1"),
        (AugmentConfig { contrast: f32::NAN, ..none }, "augment.contrast = NaN"),
        (AugmentConfig { saturation: 2.0, ..none }, "augment.saturation = 2"),
        (AugmentConfig { hue: 0.6, ..none }, "augment.hue = 0.6 is not possible: it must be from 0 to 0.5"),
        (AugmentConfig { grayscale: 2.0, ..none }, "augment.grayscale = 2"),
        (AugmentConfig { blur: 2.0, ..none }, "augment.blur = 2"),
        (AugmentConfig { blur_sigma: [0.0, 1.0], ..none }, "augment.blur_sigma = 0"),
        (AugmentConfig { erasing: 2.0, ..none }, "augment.erasing = 2"),
    ] {
        assert!(why(augment).starts_with(start), "{}", why(augment));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With everything on, whatever the picture.
    #[test]
    fn everything_at_once_stays_in_range(width in 1u32..60, height in 1u32..60, channels in prop_oneof![Just(1u8), Just(3u8)], place: u64) {
        let augment = AugmentConfig {
            rotate: 20.0,
            resized_crop: Some([0.08, 1.0]),
            flip_vertical: 0.5,
            rand_augment: Some(RandAugment { operations: 3, magnitude: 30.0 }),
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
            hue: 0.5,
            grayscale: 0.3,
            blur: 0.5,
            erasing: 0.5,
            ..AugmentConfig::default()
        };
        let config = rgb(10, augment);
        let out = augmented(&config, &noise(width, height, channels), place);
        prop_assert!(out.iter().all(|v| (-1e-5..=1.0 + 1e-5).contains(v)));
    }
}

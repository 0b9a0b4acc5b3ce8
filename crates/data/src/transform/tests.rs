use super::warp::{Change, Warp};
use super::*;
use crate::Picture;
use npair_types::{ChaCha8Rng, Purpose, Streams};
use proptest::prelude::*;

mod oblong;
mod photographs;

fn rng(place: u64) -> ChaCha8Rng {
    Streams::new(3).open(Purpose::Augmentation, [place, 0])
}

fn noise(width: u32, height: u32, channels: u8) -> Picture {
    let n = width * height * u32::from(channels);
    Picture::new(
        width,
        height,
        channels,
        (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn evaluated(config: &PipelineConfig, picture: &Picture) -> Vec<f32> {
    let pipeline = Pipeline::new(config.clone()).unwrap();
    let mut out = vec![f32::NAN; pipeline.num_values()];
    pipeline.evaluate(picture, &mut out).unwrap();
    out
}

fn augmented(config: &PipelineConfig, picture: &Picture, place: u64) -> Vec<f32> {
    let pipeline = Pipeline::new(config.clone()).unwrap();
    let mut out = vec![f32::NAN; pipeline.num_values()];
    pipeline.augment(picture, &mut rng(place), &mut out).unwrap();
    out
}

#[test]
fn a_picture_of_the_right_size_comes_out_as_it_is() {
    let picture = noise(9, 9, 3);
    let config = PipelineConfig { size: 9.into(), channels: Channels::Rgb, ..PipelineConfig::default() };
    let out = evaluated(&config, &picture);
    for (i, &byte) in picture.pixels().iter().enumerate() {
        // Channels apart: byte i is channel i % 3 of pixel i / 3; one rounding each of 1 / 255 and the product.
        let want = f32::from(byte) / 255.0;
        assert!((out[i % 3 * 81 + i / 3] - want).abs() <= 2.0 * f32::EPSILON, "{i}");
    }
}

#[test]
fn normalising_and_inverting_follow_the_formula() {
    let picture = Picture::new(1, 1, 3, vec![0, 51, 255]).unwrap();
    let config = PipelineConfig {
        size: 1.into(),
        channels: Channels::Rgb,
        invert: true,
        mean: vec![0.5, 0.25, 0.0],
        std: vec![0.5, 0.1, 2.0],
        ..PipelineConfig::default()
    };
    // (1 - 0 - 0.5) / 0.5, (1 - 0.2 - 0.25) / 0.1, (1 - 1 - 0) / 2; 5.5 has an error of some 1e-6 in f32.
    for (got, want) in evaluated(&config, &picture).into_iter().zip([1.0, 5.5, 0.0]) {
        assert!((got - want).abs() < 4e-6, "{got} {want}");
    }
}

#[test]
fn without_random_changes_training_sees_what_evaluation_sees() {
    for (resize, supersample) in
        [(Resize::Exact, 1), (Resize::Exact, 3), (Resize::Square(17), 2), (Resize::ShortSide(16), 1)]
    {
        let config = PipelineConfig { size: 12.into(), resize, supersample, ..PipelineConfig::default() };
        let picture = noise(40, 31, 3);
        assert_eq!(evaluated(&config, &picture), augmented(&config, &picture, 1), "{resize:?}");
    }
}

#[test]
fn preparing_twice_changes_nothing() {
    for resize in [Resize::Exact, Resize::Square(20), Resize::ShortSide(16)] {
        for (w, h) in [(40, 31), (31, 40), (7, 7), (3, 400), (400, 1), (16, 16)] {
            let pipeline =
                Pipeline::new(PipelineConfig { size: 12.into(), resize, ..PipelineConfig::default() }).unwrap();
            let once = pipeline.prepare(&noise(w, h, 3)).unwrap();
            assert_eq!(pipeline.prepare(&once).unwrap(), once, "{resize:?} {w} x {h}");
            assert!(
                once.width().min(once.height()) == resize.frame(12.into()).shorter()
                    && once.width().max(once.height()) <= 8 * 16
            );
        }
    }
}

#[test]
fn scaling_down_is_antialiased() {
    // Lines one pixel wide: without antialiasing, a quarter of the size would be all black or all white.
    let lines: Vec<u8> = (0..64 * 64).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
    let picture = Picture::new(64, 64, 1, lines).unwrap();
    for filter in [Filter::Box, Filter::Bilinear, Filter::CatmullRom, Filter::Lanczos3] {
        let config = PipelineConfig { size: 16.into(), filter, ..PipelineConfig::default() };
        let out = evaluated(&config, &picture);
        // Away from the border the mean is 1/2 up to a few bytes of rounding and, for the sharp kernels, ripple.
        let middle = (4..12).flat_map(|y| &out[y * 16 + 4..y * 16 + 12]);
        assert!(middle.clone().all(|v| (v - 0.5).abs() < 0.05), "{filter:?} {:?}", middle.collect::<Vec<_>>());
    }
}

#[test]
fn supersampling_is_the_mean_of_the_samples() {
    let picture = noise(12, 12, 1);
    let config = PipelineConfig { size: 6.into(), supersample: 2, ..PipelineConfig::default() };
    let out = evaluated(&config, &picture);
    for y in 0..6 {
        for x in 0..6 {
            let at = |dx: u32, dy: u32| f32::from(picture.pixel(2 * x + dx, 2 * y + dy)[0]);
            let want = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / (4.0 * 255.0);
            assert!((out[(y * 6 + x) as usize] - want).abs() < 1e-6);
        }
    }
}

/// A right angle by the affine path is the lossless rotation.
#[test]
fn a_quarter_turn_is_a_quarter_turn() {
    let picture = noise(11, 11, 1);
    let config = PipelineConfig { size: 11.into(), ..PipelineConfig::default() };
    for quarters in 0..4 {
        let degrees = -90.0 * quarters as f32;
        let still =
            Change { degrees, scale: 1.0, shear: 0.0, shift: [0.0; 2], place: None, mirror: false, upside_down: false };
        let mut out = vec![0.0; 121];
        Warp::changed(&still, &picture, 11.into())
            .sample(&picture, Fill::Edge, (11.into(), 1), |_, i, v| out[i] = v / 255.0);
        let want = evaluated(&config, &picture.rotated(quarters));
        // The position is off by some 1e-6 pixels, neighbours differ by 1 at most.
        assert!(out.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5), "{quarters}");
    }
}

#[test]
fn shifts_go_right_and_down() {
    let picture = noise(10, 10, 1);
    let plain = evaluated(&PipelineConfig { size: 10.into(), ..PipelineConfig::default() }, &picture);
    let moved = Change {
        degrees: 0.0,
        scale: 1.0,
        shear: 0.0,
        shift: [0.2, 0.1],
        place: None,
        mirror: false,
        upside_down: false,
    };
    let mut out = vec![0.0; 100];
    Warp::changed(&moved, &picture, 10.into())
        .sample(&picture, Fill::Edge, (10.into(), 1), |_, i, v| out[i] = v / 255.0);
    for y in 1..10 {
        for x in 2..10 {
            assert!((out[y * 10 + x] - plain[(y - 1) * 10 + x - 2]).abs() < 1e-5);
        }
    }
}

#[test]
fn flips_mirror_and_crops_cut() {
    let picture = noise(8, 8, 1);
    let flip = AugmentConfig { flip: 1.0, ..AugmentConfig::default() };
    let config = PipelineConfig { size: 8.into(), augment: flip, ..PipelineConfig::default() };
    let (plain, mirrored) = (evaluated(&config, &picture), augmented(&config, &picture, 0));
    for y in 0..8 {
        for x in 0..8 {
            assert_eq!(mirrored[y * 8 + x], plain[y * 8 + 7 - x]);
        }
    }
    let crop = AugmentConfig { crop: true, ..AugmentConfig::default() };
    let config =
        PipelineConfig { size: 6.into(), resize: Resize::Square(8), augment: crop, ..PipelineConfig::default() };
    let mut seen = std::collections::BTreeSet::new();
    for place in 0..200 {
        let out = augmented(&config, &picture, place);
        let at = (0..9).find(|at| {
            let (left, top) = (at % 3, at / 3);
            (0..36).all(|i| {
                let byte = picture.pixel(left + i % 6, top + i / 6)[0];
                (out[i as usize] - f32::from(byte) / 255.0).abs() < 1e-6
            })
        });
        seen.insert(at.expect("every crop is a part of the picture"));
    }
    assert_eq!(seen.len(), 9); // the chance to miss one of 9 places in 200 draws is below 1e-9
}

#[test]
fn beyond_the_border_is_what_was_asked_for() {
    let picture = Picture::new(8, 8, 1, vec![0; 64]).unwrap();
    let shifted = |fill| {
        let augment = AugmentConfig { scale: [0.5, 0.5], fill, ..AugmentConfig::default() };
        augmented(&PipelineConfig { size: 8.into(), augment, ..PipelineConfig::default() }, &picture, 0)
    };
    assert!(shifted(Fill::Edge).iter().all(|&v| v == 0.0));
    let white = shifted(Fill::Value(1.0));
    // Half the size: the middle 4 x 4 stay black, the corners are white.
    assert_eq!((white[0], white[63], white[3 * 8 + 3], white[5 * 8 + 5]), (1.0, 1.0, 0.0, 0.0));
}

/// Pixels taken as they are have the bits of interpolated ones.
#[test]
fn the_short_way_gives_the_same_bits() {
    let picture = noise(17, 15, 3);
    for (mirror, place, k) in
        [(false, None, 1), (true, None, 2), (false, Some([0.9, 0.1]), 2), (true, Some([0.3, 0.7]), 1)]
    {
        let change =
            Change { degrees: 0.0, scale: 1.0, shear: 0.0, shift: [0.0; 2], place, mirror, upside_down: mirror };
        let warp = Warp::changed(&change, &picture, (6 * k).into());
        let (mut short, mut long) = (vec![0f32; 108], vec![0f32; 108]);
        warp.sample(&picture, Fill::Value(0.5), (6.into(), k), |c, i, v| short[c * 36 + i] = v);
        warp.blend(&picture, Fill::Value(0.5), (6.into(), k), |c, i, v| long[c * 36 + i] = v);
        assert_eq!(short, long);
        if k == 1 {
            let mut copied = vec![f32::NAN; 108];
            assert!(warp.copy(&picture, 6.into(), &mut copied));
            assert_eq!(copied, long);
        }
        assert!(short.iter().any(|&v| v > 0.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_but_finite_values_in_range_come_out(
        width in 1u32..40, height in 1u32..40, channels in prop_oneof![Just(1u8), Just(3u8)], place: u64,
        rotate in 0f32..180.0, scale in 0.1f32..10.0, shear in 0f32..60.0, shift in 0f32..1.0, edge: bool,
    ) {
        let fill = if edge { Fill::Edge } else { Fill::Value(0.5) };
        let augment = AugmentConfig { rotate, scale: [0.1, scale], shear, shift, elastic: 0.1, crop: true, flip: 0.5, fill, ..AugmentConfig::default() };
        let config = PipelineConfig { size: 10.into(), resize: Resize::ShortSide(12), augment, ..PipelineConfig::default() };
        let out = augmented(&config, &noise(width, height, channels), place);
        // A mean of samples of [0, 1], up to rounding.
        prop_assert!(out.iter().all(|v| (-1e-5..=1.0 + 1e-5).contains(v)));
    }
}

#[test]
fn impossible_settings_are_named() {
    let why = |config: PipelineConfig| Pipeline::new(config).unwrap_err().to_string();
    let usual = PipelineConfig::default;
    assert!(why(PipelineConfig { std: vec![0.0], ..usual() }).starts_with("std = 0 is not possible"));
    assert!(why(PipelineConfig { std: vec![f32::NAN], ..usual() }).starts_with("std = NaN"));
    assert!(why(PipelineConfig { mean: vec![f32::INFINITY], ..usual() }).starts_with("mean = inf"));
    assert!(why(PipelineConfig { mean: vec![], ..usual() }).contains("give 1 value, or 1 for 1 channels"));
    assert!(why(PipelineConfig { size: 0.into(), ..usual() }).starts_with("size = 0"));
    assert!(why(PipelineConfig { supersample: 5, ..usual() }).starts_with("supersample = 5"));
    assert!(why(PipelineConfig { resize: Resize::Square(20), ..usual() }).starts_with("resize = 20"));
    let augment = |augment| why(PipelineConfig { augment, ..usual() });
    let none = AugmentConfig::default();
    assert!(augment(AugmentConfig { scale: [0.0, 1.0], ..none }).starts_with("augment.scale = 0"));
    assert!(augment(AugmentConfig { scale: [2.0, 1.0], ..none }).contains("the smaller one comes first"));
    assert!(augment(AugmentConfig { rotate: f32::NAN, ..none }).starts_with("augment.rotate = NaN"));
    assert!(augment(AugmentConfig { shear: 90.0, ..none }).starts_with("augment.shear"));
    assert!(augment(AugmentConfig { fill: Fill::Value(2.0), ..none }).starts_with("augment.fill"));
    for good in [
        PipelineConfig::strokes(28),
        PipelineConfig::photos(224),
        PipelineConfig::photos_strong(64),
        PipelineConfig::drawings(64),
        usual(),
    ] {
        assert!(Pipeline::new(good).is_ok());
    }
    let pipeline = Pipeline::new(usual()).unwrap();
    assert!(pipeline.evaluate(&noise(2, 2, 1), &mut [0.0; 3]).unwrap_err().to_string().contains("room for 3"));
}

#[test]
fn elastic_pictures_bend_and_all_else_stays() {
    let picture = noise(24, 24, 1);
    let with = |elastic, rotate| {
        let augment = AugmentConfig { elastic, rotate, ..AugmentConfig::default() };
        PipelineConfig { size: 12.into(), supersample: 2, augment, ..PipelineConfig::default() }
    };
    let plain = augmented(&with(0.0, 20.0), &picture, 0);
    assert_ne!(augmented(&with(0.1, 20.0), &picture, 0), plain);
    // A shift of next to nothing is next to no change: the turn is drawn before it and stays as it was.
    let hardly = augmented(&with(1e-6, 20.0), &picture, 0);
    // Positions move by 24e-6 pixels at most, and values by 2 between neighbours at most on each axis.
    assert!(hardly.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 2e-4));
    // Of a picture of one colour nothing can be seen.
    let even = Picture::new(24, 24, 1, vec![77; 576]).unwrap();
    assert!(augmented(&with(0.2, 0.0), &even, 0).iter().all(|v| (v - 77.0 / 255.0).abs() < 1e-5));
    assert!(crate::Pipeline::new(with(0.6, 0.0)).is_err());
}

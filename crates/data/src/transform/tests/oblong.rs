//! Results that are higher than wide, or wider than high.

use super::*;
use crate::RandAugment;
use crate::transform::blur::blur;
use crate::transform::canvas::Canvas;
use npair_types::ImageSize;

fn config(height: u32, width: u32) -> PipelineConfig {
    PipelineConfig { size: ImageSize { height, width }, ..PipelineConfig::default() }
}

/// Pixel (x, y) of one channel.
fn at(values: &[f32], width: u32, x: u32, y: u32) -> f32 {
    values[(y * width + x) as usize]
}

#[test]
fn a_picture_of_the_right_size_comes_out_as_it_is() {
    for (height, width) in [(9, 5), (5, 9), (1, 7)] {
        let picture = noise(width, height, 3);
        let out = evaluated(&PipelineConfig { channels: Channels::Rgb, ..config(height, width) }, &picture);
        let plane = (height * width) as usize;
        for (i, &byte) in picture.pixels().iter().enumerate() {
            assert!((out[i % 3 * plane + i / 3] - f32::from(byte) / 255.0).abs() <= 2.0 * f32::EPSILON, "{i}");
        }
        assert_eq!(Pipeline::new(config(height, width)).unwrap().shape(), [1, height as usize, width as usize]);
    }
}

/// However long a picture is, it covers what is cut out of it, and no more is kept than that needs.
#[test]
fn pictures_cover_what_is_cut_out_of_them() {
    for resize in [Resize::Exact, Resize::Fit, Resize::Square(20), Resize::ShortSide(10)] {
        for (w, h) in [(40, 31), (31, 40), (7, 7), (3, 400), (400, 1), (12, 18)] {
            let pipeline = Pipeline::new(PipelineConfig { resize, ..config(18, 9) }).unwrap();
            let once = pipeline.prepare(&noise(w, h, 1)).unwrap();
            assert_eq!(pipeline.prepare(&once).unwrap(), once, "{resize:?} {w} x {h}");
            let want = match resize {
                Resize::Exact | Resize::Fit => (9, 18),
                Resize::Square(side) => (side, side),
                // A frame of 10 x 20: of 40 x 31 pixels the height is scaled to 20, of 3 x 400 (cut to 3 x 24) the width to 10.
                Resize::ShortSide(_) => match (w, h) {
                    (40, 31) => (26, 20),
                    (31, 40) => (16, 20),
                    (7, 7) => (20, 20),
                    (3, 400) => (10, 80),
                    (400, 1) => (160, 20),
                    _ => (13, 20),
                },
            };
            assert_eq!((once.width(), once.height()), want, "{resize:?} {w} x {h}");
        }
    }
    let long = PipelineConfig { resize: Resize::ShortSide(8192), ..config(1, 4096) };
    assert!(Pipeline::new(long).unwrap_err().to_string().contains("to 8192"));
}

/// The whole picture in the middle, on the colour of its border.
#[test]
fn what_is_fitted_is_whole_and_stands_on_its_ground() {
    // A red frame with one odd pixel in it, grey inside.
    let level = |x: u32, y: u32| match (x, y) {
        (0, 0) => [0, 0, 255],
        (1..=10, 1..=2) => [90, 90, 90],
        _ => [200, 10, 20],
    };
    let pixels = (0..4).flat_map(|y| (0..12).flat_map(move |x| level(x, y))).collect::<Vec<_>>();
    let wide = Picture::new(12, 4, 3, pixels).unwrap();
    let settings = PipelineConfig { channels: Channels::Rgb, resize: Resize::Fit, ..config(10, 12) };
    let fitted = Pipeline::new(settings).unwrap().prepare(&wide).unwrap();
    assert_eq!((fitted.width(), fitted.height()), (12, 10));
    for (x, y) in (0..12).flat_map(|x| (0..10).map(move |y| (x, y))) {
        let want = if (3..7).contains(&y) { level(x, y - 3) } else { [200, 10, 20] };
        assert_eq!(fitted.pixel(x, y), want, "{x} {y}");
    }
    // A line of pixels keeps one.
    for (w, h) in [(400, 1), (1, 400), (3, 5)] {
        let pipeline = Pipeline::new(PipelineConfig { resize: Resize::Fit, ..config(6, 8) }).unwrap();
        let once = pipeline.prepare(&noise(w, h, 1)).unwrap();
        assert_eq!((once.width(), once.height()), (8, 6));
        assert_eq!(pipeline.prepare(&once).unwrap(), once);
    }
}

/// What is turned about its middle and cut out is what is cut out of the turned picture.
#[test]
fn a_quarter_turn_is_a_quarter_turn() {
    let picture = noise(21, 21, 1);
    let config = PipelineConfig { resize: Resize::Square(21), ..config(5, 9) };
    for quarters in 0..4 {
        let degrees = -90.0 * quarters as f32;
        let turn =
            Change { degrees, scale: 1.0, shear: 0.0, shift: [0.0; 2], place: None, mirror: false, upside_down: false };
        let mut out = [0.0; 45];
        let put = |_, i: usize, v: f32| out[i] = v / 255.0;
        Warp::changed(&turn, &picture, config.size).sample(&picture, Fill::Edge, (config.size, 1), put);
        let want = evaluated(&config, &picture.rotated(quarters));
        assert!(out.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5), "{quarters}");
    }
}

/// Shifts are parts of the side that they go along; mirrors come last.
#[test]
fn shifts_go_by_the_side_of_their_axis() {
    let (size, picture) = (ImageSize { height: 8, width: 10 }, noise(10, 8, 1));
    let change = Change {
        degrees: 0.0,
        scale: 1.0,
        shear: 0.0,
        shift: [0.2, 0.125],
        place: None,
        mirror: true,
        upside_down: false,
    };
    let mut out = [0.0; 80];
    Warp::changed(&change, &picture, size).sample(&picture, Fill::Value(0.0), (size, 1), |_, i, v| out[i] = v);
    // Two pixels to the right and one down, then left and right swapped.
    for (y, x) in (1..8u32).flat_map(|y| (0..8u32).map(move |x| (y, x))) {
        assert_eq!(at(&out, 10, x, y), f32::from(picture.pixel(7 - x, y - 1)[0]), "{x} {y}");
    }
}

/// Rows and columns are treated alike: of the transposed picture the transposed result.
#[test]
fn blurring_knows_no_axis() {
    let (w, h) = (13u32, 6u32);
    let before: Vec<f32> = (0..w * h).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32).collect();
    let mut wide = before.clone();
    blur(&mut Canvas::new(&mut wide, ImageSize { height: h, width: w }), 1.7);
    let mut high: Vec<f32> =
        (0..w).flat_map(|x| (0..h).map(move |y| (x, y))).map(|(x, y)| at(&before, w, x, y)).collect();
    blur(&mut Canvas::new(&mut high, ImageSize { height: w, width: h }), 1.7);
    // Some 24 roundings of values up to 255, in another order.
    assert!((0..w).all(|x| (0..h).all(|y| (at(&wide, w, x, y) - at(&high, h, y, x)).abs() < 1e-3)));
}

proptest! {
    #[test]
    fn everything_at_once_stays_in_range(
        width in 1u32..40, height in 1u32..40, across in 1u32..20, down in 1u32..20, place: u64, crop: bool,
    ) {
        let augment = AugmentConfig {
            rotate: 40.0, scale: [0.5, 2.0], shear: 20.0, shift: 0.3, elastic: 0.1, crop: true, flip: 0.5, flip_vertical: 0.5,
            resized_crop: crop.then_some([0.1, 0.9]), rand_augment: Some(RandAugment { operations: 4, magnitude: 20.0 }),
            brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, blur: 0.5, erasing: 0.5, ..AugmentConfig::default()
        };
        let resize = Resize::ShortSide(across.min(down) + 3);
        let plain = PipelineConfig { channels: Channels::Rgb, resize, supersample: 2, ..config(down, across) };
        let picture = noise(width, height, 3);
        // A mean of samples of [0, 1], up to rounding; what is erased is 0.
        let out = augmented(&PipelineConfig { augment, ..plain.clone() }, &picture, place);
        prop_assert!(out.iter().all(|v| (-1e-5..=1.0 + 1e-5).contains(v)));
        // Without changes training sees what evaluation sees.
        prop_assert_eq!(augmented(&plain, &picture, place), evaluated(&plain, &picture));
    }
}

use super::canvas::Canvas;
use super::color::{brightness, contrast, cut, saturation};
use super::{Fill, RandAugment};
use crate::draw::{below, unit};
use crate::turn::sin_cos_degrees;
use npair_types::ChaCha8Rng;

/// The operations of [`RandAugment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Identity,
    AutoContrast,
    Equalize,
    Rotate,
    Solarize,
    Color,
    Posterize,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

const OPERATIONS: [Operation; 14] = [
    Operation::Identity,
    Operation::AutoContrast,
    Operation::Equalize,
    Operation::Rotate,
    Operation::Solarize,
    Operation::Color,
    Operation::Posterize,
    Operation::Contrast,
    Operation::Brightness,
    Operation::Sharpness,
    Operation::ShearX,
    Operation::ShearY,
    Operation::TranslateX,
    Operation::TranslateY,
];

/// One drawn operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    operation: Operation,
    /// The magnitude as a part of the largest one, at either sign.
    strength: f32,
}

impl Step {
    /// Two draws for each operation.
    pub(crate) fn random(config: RandAugment, rng: &mut ChaCha8Rng) -> Vec<Self> {
        let one = |_| {
            let operation = OPERATIONS[below(rng, OPERATIONS.len() as u32) as usize];
            let sign = if unit(rng) < 0.5 { -1.0 } else { 1.0 };
            Self { operation, strength: sign * config.magnitude / RandAugment::MOST }
        };
        (0..config.operations).map(one).collect()
    }

    pub(crate) fn apply(&self, canvas: &mut Canvas, fill: Fill) {
        let (strength, width, height) = (self.strength, canvas.width() as f32, canvas.height() as f32);
        let factor = 1.0 + 0.9 * strength;
        match self.operation {
            Operation::Identity => {}
            Operation::AutoContrast => auto_contrast(canvas),
            Operation::Equalize => equalize(canvas),
            Operation::Rotate => {
                let (sin, cos) = sin_cos_degrees(30.0 * strength);
                canvas.moved([cos, -sin], [sin, cos], [0.0; 2], fill);
            }
            Operation::Solarize => solarize(canvas, 256.0 * (1.0 - strength.abs())),
            Operation::Color => saturation(canvas, factor),
            Operation::Posterize => posterize(canvas, (4.0 * strength.abs()).round() as u32),
            Operation::Contrast => contrast(canvas, factor),
            Operation::Brightness => brightness(canvas, factor),
            Operation::Sharpness => sharpness(canvas, factor),
            Operation::ShearX => canvas.moved([1.0, 0.0], [0.3 * strength, 1.0], [0.0; 2], fill),
            Operation::ShearY => canvas.moved([1.0, 0.3 * strength], [0.0, 1.0], [0.0; 2], fill),
            Operation::TranslateX => {
                canvas.moved([1.0, 0.0], [0.0, 1.0], [150.0 / 331.0 * strength * width, 0.0], fill);
            }
            Operation::TranslateY => {
                canvas.moved([1.0, 0.0], [0.0, 1.0], [0.0, 150.0 / 331.0 * strength * height], fill);
            }
        }
    }
}

/// Each channel stretched so that its least value is 0 and its largest 255.
fn auto_contrast(canvas: &mut Canvas) {
    for plane in canvas.planes() {
        let (low, high) = plane.iter().fold((255f32, 0f32), |(low, high), &v| (low.min(v), high.max(v)));
        if high > low {
            let factor = 255.0 / (high - low);
            plane.iter_mut().for_each(|v| *v = cut((*v - low) * factor));
        }
    }
}

/// Each channel in whole steps, replaced so that all steps are about equally frequent.
fn equalize(canvas: &mut Canvas) {
    for plane in canvas.planes() {
        let mut counts = [0u32; 256];
        plane.iter().for_each(|&v| counts[byte(v)] += 1);
        let last = counts.iter().rev().find(|&&n| n > 0).copied().unwrap_or(0);
        // The largest value does not count, so that it becomes 255.
        let step = (plane.len() as u32 - last) / 255;
        if step == 0 {
            continue;
        }
        let mut below = step / 2;
        let table = counts.map(|n| {
            let value = (below / step).min(255) as f32;
            below += n;
            value
        });
        plane.iter_mut().for_each(|v| *v = table[byte(*v)]);
    }
}

/// Rounded to nearest; values are within 0 to 255 up to rounding.
fn byte(value: f32) -> usize {
    usize::from((value + 0.5) as u8)
}

/// What is as bright as `threshold` or brighter, inverted.
fn solarize(canvas: &mut Canvas, threshold: f32) {
    canvas.values().iter_mut().for_each(|v| *v = if *v >= threshold { 255.0 - *v } else { *v });
}

/// In whole steps, without the lowest `bits` binary digits of eight.
fn posterize(canvas: &mut Canvas, bits: u32) {
    if bits > 0 {
        let mask = !0 << bits;
        canvas.values().iter_mut().for_each(|v| *v = (byte(*v) & mask) as f32);
    }
}

/// `s + factor (v - s)` about the smoothed value s: the mean of the pixel, counted five times, and its eight neighbours.
/// The border stays as it is.
fn sharpness(canvas: &mut Canvas, factor: f32) {
    let (width, height) = (canvas.width(), canvas.height());
    if width < 3 || height < 3 {
        return;
    }
    for plane in canvas.planes() {
        let source = plane.to_vec();
        for y in 1..height - 1 {
            let [above, here, below] = [y - 1, y, y + 1].map(|y| &source[y * width..][..width]);
            let sums = [above, here, below].map(|row| move |x: usize| row[x - 1] + row[x] + row[x + 1]);
            for (x, out) in plane[y * width..][..width].iter_mut().enumerate().skip(1).take(width - 2) {
                let sum = sums[0](x) + sums[1](x) + sums[2](x) + 4.0 * here[x];
                let smooth = sum * (1.0 / 13.0);
                *out = cut(smooth + factor * (here[x] - smooth));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    fn noise(len: usize) -> Vec<f32> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32).collect()
    }

    fn after(operation: Operation, strength: f32, before: &[f32], size: u32) -> Vec<f32> {
        let mut values = before.to_vec();
        Step { operation, strength }.apply(&mut Canvas::new(&mut values, size.into()), Fill::Value(0.0));
        values
    }

    #[test]
    fn without_magnitude_nothing_but_the_stretching_changes() {
        let before = noise(3 * 81);
        for operation in OPERATIONS {
            if !matches!(operation, Operation::AutoContrast | Operation::Equalize) {
                let values = after(operation, 0.0, &before, 9);
                assert!(values.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-4), "{operation:?}");
            }
        }
    }

    #[test]
    fn all_keep_to_the_range_and_change_something_in_grey_but_colour() {
        for (channels, operation) in [1, 3].into_iter().flat_map(|c| OPERATIONS.map(|o| (c, o))) {
            for strength in [-1.0, -0.3, 0.3, 1.0] {
                let before: Vec<f32> = noise(channels * 400).iter().map(|v| 20.0 + v * 0.8).collect();
                let values = after(operation, strength, &before, 20);
                assert!(values.iter().all(|v| (0.0..=255.0).contains(v)), "{operation:?}");
                let idle = operation == Operation::Identity || channels == 1 && operation == Operation::Color;
                assert_eq!(values == before, idle, "{operation:?} {strength} {channels}");
            }
        }
    }

    #[test]
    fn values_are_those_of_the_definitions() {
        let of = |operation, strength, before: &[f32]| after(operation, strength, before, 2);
        assert_eq!(of(Operation::AutoContrast, 1.0, &[50.0, 100.0, 75.0, 50.0]), [0.0, 255.0, 127.5, 0.0]);
        // 256 (1 - 0.5) = 128 and above is inverted.
        assert_eq!(of(Operation::Solarize, -0.5, &[0.0, 127.0, 128.0, 255.0]), [0.0, 127.0, 127.0, 0.0]);
        // Four bits stay: steps of 16.
        assert_eq!(of(Operation::Posterize, 1.0, &[0.0, 15.0, 16.0, 255.0]), [0.0, 0.0, 16.0, 240.0]);
        assert_eq!(of(Operation::Brightness, 1.0, &[0.0, 10.0, 100.0, 200.0]), [0.0, 19.0, 190.0, 255.0]);
    }

    /// A picture of 600 values, half 10, a quarter 20, a quarter 30: n = 450 / 255 = 1 a step.
    #[test]
    fn equal_shares_get_equal_steps() {
        let before: Vec<f32> = (0..600).map(|i| [10.0, 10.0, 20.0, 30.0][i % 4]).collect();
        let mut values = before;
        values.resize(625, 30.0);
        // 625 pixels, 175 of the largest value: (625 - 175) / 255 = 1 a step, so 10 is below all: 0, 20 has 300 below it.
        let got = after(Operation::Equalize, 1.0, &values, 25);
        assert_eq!(got[..4], [0.0, 0.0, 255.0, 255.0]);
        // Every byte equally often stays as it is: 65,280 / 255 = 256 pixels a step.
        let even: Vec<f32> = (0..256 * 256).map(|i| (i % 256) as f32).collect();
        assert_eq!(after(Operation::Equalize, 1.0, &even, 256), even);
    }

    #[test]
    fn sharpness_is_the_naive_blend() {
        let before = noise(49);
        let values = after(Operation::Sharpness, -0.5, &before, 7);
        for (y, x) in (0..7).flat_map(|y| (0..7).map(move |x| (y, x))) {
            let at = |y: usize, x: usize| f64::from(before[y * 7 + x]);
            let want = if (1..6).contains(&y) && (1..6).contains(&x) {
                let all: f64 =
                    (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| (y, x))).map(|(y, x)| at(y, x)).sum();
                let smooth = (all + 4.0 * at(y, x)) / 13.0;
                smooth + 0.55 * (at(y, x) - smooth)
            } else {
                at(y, x)
            };
            assert!((f64::from(values[y * 7 + x]) - want.clamp(0.0, 255.0)).abs() < 1e-3);
        }
    }

    #[test]
    fn pictures_are_moved_about_their_middle() {
        let before = noise(331 * 331);
        let moved = after(Operation::TranslateX, -1.0, &before, 331);
        // 150 of 331 pixels to the right; what comes in is the fill.
        for x in [0, 149, 150, 330] {
            let want = if x < 150 { 0.0 } else { before[331 + x - 150] };
            assert!((moved[331 + x] - want).abs() < 0.05, "{x}"); // positions are off by 1e-4 of a pixel
        }
        for operation in [Operation::Rotate, Operation::ShearX, Operation::ShearY] {
            let moved = after(operation, 0.7, &before, 331);
            assert!((moved[165 * 331 + 165] - before[165 * 331 + 165]).abs() < 0.05, "{operation:?}");
        }
    }

    #[test]
    fn operations_are_drawn_evenly_and_without_moving_others() {
        let mut rng = Streams::new(1).open(Purpose::Augmentation, [0, 0]);
        let steps = Step::random(RandAugment { operations: 14_000, magnitude: 9.0 }, &mut rng);
        for operation in OPERATIONS {
            // 1,000 expected, a deviation of 30.
            let n = steps.iter().filter(|step| step.operation == operation).count();
            assert!((850..1150).contains(&n), "{operation:?} {n}");
        }
        assert!(steps.iter().all(|step| (step.strength.abs() - 0.3).abs() < 1e-6));
    }
}

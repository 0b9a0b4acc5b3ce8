use crate::draw::unit;
use crate::power::power;
use npair_types::ChaCha8Rng;

/// A random rectangle in a picture: a part of its area, a shape and a place, all from 0 to 1 until the picture's size is known.
///
/// # Source
/// Szegedy et al., CVPR 2015, section 6 (random resized crops); Zhong et al., AAAI 2020, algorithm 1 (random erasing).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rectangle {
    /// Part of the picture's area, uniform in the range asked for.
    area: f32,
    /// From the narrowest shape that fits to the widest.
    shape: f32,
    place: [f32; 2],
}

/// Whole pixels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Rectangle {
    /// Four draws.
    pub(crate) fn random(area: [f32; 2], rng: &mut ChaCha8Rng) -> Self {
        let area = area[0] + (area[1] - area[0]) * unit(rng);
        Self { area, shape: unit(rng), place: [unit(rng), unit(rng)] }
    }

    /// The rectangle in a picture of `width` x `height` pixels, width over height within `aspect` up to rounding to whole
    /// pixels. Its logarithm is uniform over what fits into the picture at the drawn area: that is what drawing anew until
    /// it fits comes to, without ever giving up. Where no shape fits at that area (long pictures), it is the largest of the
    /// nearest shape.
    pub(crate) fn within(&self, width: u32, height: u32, aspect: [f64; 2]) -> Window {
        let (w, h, area) = (f64::from(width), f64::from(height), f64::from(self.area));
        // w sqrt(area r h / w) <= w and h sqrt(area w / (h r)) <= h.
        let (narrowest, widest) = (aspect[0].max(area * w / h), aspect[1].min(w / (area * h)));
        let (wide, high) = if narrowest <= widest {
            let ratio = narrowest * power(widest / narrowest, f64::from(self.shape));
            ((area * w * h * ratio).sqrt(), (area * w * h / ratio).sqrt())
        } else {
            let ratio = if narrowest > aspect[1] { aspect[1] } else { aspect[0] };
            (w.min(h * ratio), h.min(w / ratio))
        };
        let whole = |length: f64, most: u32| (length.round() as u32).clamp(1, most);
        let (wide, high) = (whole(wide, width), whole(high, height));
        let offset = |place: f32, free: u32| ((f64::from(place) * f64::from(free + 1)) as u32).min(free);
        Window {
            left: offset(self.place[0], width - wide),
            top: offset(self.place[1], height - high),
            width: wide,
            height: high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    fn drawn(area: [f32; 2], aspect: [f64; 2], size: [u32; 2], n: u64) -> Vec<Window> {
        let streams = Streams::new(5);
        let one = |i| Rectangle::random(area, &mut streams.open(Purpose::Augmentation, [i, 0]));
        (0..n).map(|i| one(i).within(size[0], size[1], aspect)).collect()
    }

    #[test]
    fn areas_and_shapes_are_in_range_and_places_inside() {
        for size in [[500, 375], [375, 500], [300, 300]] {
            for at in drawn([0.08, 1.0], [0.75, 4.0 / 3.0], size, 2000) {
                let (w, h) = (f64::from(at.width), f64::from(at.height));
                let area = w * h / f64::from(size[0] * size[1]);
                // Sides are rounded by half a pixel of at least 75.
                assert!((0.078..=1.0).contains(&area) && (0.73..1.36).contains(&(w / h)), "{at:?}");
                assert!(at.left + at.width <= size[0] && at.top + at.height <= size[1]);
            }
        }
    }

    /// Areas against drawing anew until the shape fits, as torchvision does it: the same shapes at each area.
    #[test]
    fn shapes_are_those_of_drawing_until_one_fits() {
        let mut rng = Streams::new(6).open(Purpose::Augmentation, [0, 0]);
        let (low, high) = (0.75f64, 4.0f64 / 3.0);
        let mut logs = Vec::new();
        while logs.len() < 20_000 {
            let ratio = (low.ln() + (high / low).ln() * f64::from(unit(&mut rng))).exp();
            let (w, h) = ((0.9 * 400.0 * 400.0 * ratio).sqrt(), (0.9 * 400.0 * 400.0 / ratio).sqrt());
            if w <= 400.0 && h <= 400.0 {
                logs.push((w / h).ln());
            }
        }
        let ours: Vec<f64> = drawn([0.9, 0.9], [low, high], [400, 400], 20_000)
            .iter()
            .map(|at| (f64::from(at.width) / f64::from(at.height)).ln())
            .collect();
        let spread = |of: &[f64]| (of.iter().map(|x| x * x).sum::<f64>() / of.len() as f64).sqrt();
        // Uniform on +-ln(1 / 0.9): a deviation of 0.0608; its estimate from 20,000 is off by 0.0003, rounding adds 0.001.
        assert!((spread(&ours) - spread(&logs)).abs() < 0.003, "{} {}", spread(&ours), spread(&logs));
        assert!((ours.iter().sum::<f64>() / 20_000.0).abs() < 0.003);
    }

    #[test]
    fn of_long_and_tiny_pictures_there_is_a_part_too() {
        for at in drawn([0.5, 1.0], [0.75, 4.0 / 3.0], [4000, 100], 200) {
            assert_eq!((at.width, at.height), (133, 100)); // the largest of 4 : 3
        }
        assert!(drawn([0.1, 0.2], [0.75, 4.0 / 3.0], [1, 1], 20).iter().all(|at| (at.width, at.height) == (1, 1)));
        let places: std::collections::BTreeSet<_> =
            drawn([0.25, 0.25], [1.0, 1.0], [4, 4], 500).iter().map(|at| (at.left, at.top)).collect();
        assert_eq!(places.len(), 9); // 2 x 2 pixels have 3 x 3 places in 4 x 4
    }
}

//! Changes of colours. What comes out is cut off at black and white, as bytes would be.

use super::AugmentConfig;
use super::canvas::{Canvas, LUMA};
use super::warp::floor;
use crate::draw::{around, between, shuffle};
use npair_types::ChaCha8Rng;

/// One draw of brightness, contrast, saturation and hue, and of their order.
///
/// # Source
/// Howard, 2013 (arXiv 1312.5402), section 2.2; the ranges and the random order are those of torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Jitter {
    /// Numbers of `Kind` in the order in which they are done.
    order: [usize; 4],
    brightness: f32,
    contrast: f32,
    saturation: f32,
    /// Of a full turn.
    hue: f32,
}

impl Jitter {
    /// None, without any draw, if all four are off; the same number of draws whatever is on.
    pub(crate) fn random(config: &AugmentConfig, rng: &mut ChaCha8Rng) -> Option<Self> {
        let reach = [config.brightness, config.contrast, config.saturation, config.hue];
        if reach.iter().all(|&reach| reach <= 0.0) {
            return None;
        }
        let mut order = [0, 1, 2, 3];
        shuffle(rng, &mut order);
        let mut factor = |reach: f32| between(rng, 1.0 - reach, 1.0 + reach);
        let [brightness, contrast, saturation] = [factor(reach[0]), factor(reach[1]), factor(reach[2])];
        Some(Self { order, brightness, contrast, saturation, hue: around(rng, reach[3]) })
    }

    pub(crate) fn apply(&self, canvas: &mut Canvas) {
        for kind in self.order {
            match kind {
                0 if self.brightness != 1.0 => brightness(canvas, self.brightness),
                1 if self.contrast != 1.0 => contrast(canvas, self.contrast),
                2 if self.saturation != 1.0 => saturation(canvas, self.saturation),
                3 if self.hue != 0.0 => hue(canvas, self.hue),
                _ => {}
            }
        }
    }
}

/// `factor v`.
pub(crate) fn brightness(canvas: &mut Canvas, factor: f32) {
    canvas.values().iter_mut().for_each(|v| *v = cut(*v * factor));
}

/// `m + factor (v - m)` about the mean luma m of the picture.
pub(crate) fn contrast(canvas: &mut Canvas, factor: f32) {
    let mean = canvas.mean_luma();
    canvas.values().iter_mut().for_each(|v| *v = cut(mean + factor * (*v - mean)));
}

/// `l + factor (v - l)` about the luma l of the pixel; grey stays as it is.
pub(crate) fn saturation(canvas: &mut Canvas, factor: f32) {
    let Some([red, green, blue]) = canvas.colors() else { return };
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let luma = luma(*r, *g, *b);
        for v in [r, g, b] {
            *v = cut(luma + factor * (*v - luma));
        }
    }
}

/// Every pixel's luma in all channels; grey stays as it is.
pub(crate) fn grey(canvas: &mut Canvas) {
    let Some([red, green, blue]) = canvas.colors() else { return };
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let luma = luma(*r, *g, *b);
        [*r, *g, *b] = [luma; 3];
    }
}

/// The hue in the hexcone (HSV), turned by `turn` of the circle, -0.5 to 0.5; largest and smallest channel value stay. Grey
/// stays as it is.
///
/// ```text
/// v(n) = max - (max - min) clamp(min(k, 4 - k), 0, 1),  k = (n + h) mod 6,  n = 5, 3, 1 for red, green, blue
/// ```
/// # Source
/// Smith, SIGGRAPH 1978.
pub(crate) fn hue(canvas: &mut Canvas, turn: f32) {
    let Some([red, green, blue]) = canvas.colors() else { return };
    let turn = 6.0 * turn;
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let (max, min) = (r.max(*g).max(*b), r.min(*g).min(*b));
        let range = max - min;
        // Without a hue it does not matter what is divided by.
        let share = 1.0 / if range > 0.0 { range } else { 1.0 };
        let (from_red, from_green, from_blue) = ((*g - *b) * share, (*b - *r) * share + 2.0, (*r - *g) * share + 4.0);
        let rest = if max == *g { from_green } else { from_blue };
        let hue = if max == *r { from_red } else { rest } + turn;
        let value = |n: f32| {
            let k = n + hue;
            let k = k - 6.0 * floor(k * (1.0 / 6.0)) as f32;
            max - range * k.min(4.0 - k).clamp(0.0, 1.0)
        };
        [*r, *g, *b] = [value(5.0), value(3.0), value(1.0)];
    }
}

#[inline]
fn luma(r: f32, g: f32, b: f32) -> f32 {
    LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
}

/// Written so that it becomes two vector instructions; values are never NaN.
#[inline]
#[allow(clippy::manual_clamp, reason = "clamp keeps NaN, which costs a comparison")]
pub(crate) fn cut(value: f32) -> f32 {
    value.max(0.0).min(255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    fn noise(len: usize) -> Vec<f32> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32).collect()
    }

    fn after(change: impl Fn(&mut Canvas), before: &[f32], size: u32) -> Vec<f32> {
        let mut values = before.to_vec();
        change(&mut Canvas::new(&mut values, size.into()));
        values
    }

    fn pixel(values: &[f32], i: usize) -> [f64; 3] {
        [0, 1, 2].map(|c| f64::from(values[c * values.len() / 3 + i]))
    }

    fn close(got: &[f32], want: impl Fn(usize) -> [f64; 3]) {
        for i in 0..got.len() / 3 {
            for (got, want) in pixel(got, i).into_iter().zip(want(i)) {
                // A few roundings of values up to 255 in f32.
                assert!((got - want.clamp(0.0, 255.0)).abs() < 2e-3, "{i}: {got} {want}");
            }
        }
    }

    #[test]
    fn values_are_those_of_the_definitions() {
        let before = noise(3 * 49);
        let luma = |[r, g, b]: [f64; 3]| (77.0 * r + 150.0 * g + 29.0 * b) / 256.0;
        let mean = (0..49).map(|i| luma(pixel(&before, i))).sum::<f64>() / 49.0;
        for factor in [0.0f32, 0.4, 1.7] {
            let f = f64::from(factor);
            close(&after(|c| brightness(c, factor), &before, 7), |i| pixel(&before, i).map(|v| f * v));
            close(&after(|c| contrast(c, factor), &before, 7), |i| pixel(&before, i).map(|v| mean + f * (v - mean)));
            close(&after(|c| saturation(c, factor), &before, 7), |i| {
                let l = luma(pixel(&before, i));
                pixel(&before, i).map(|v| l + f * (v - l))
            });
        }
        close(&after(grey, &before, 7), |i| [luma(pixel(&before, i)); 3]);
        let grey_mean = f64::from(before[..49].iter().sum::<f32>()) / 49.0;
        for (got, v) in after(|c| contrast(c, 0.5), &before[..49], 7).iter().zip(&before) {
            assert!((f64::from(*got) - (grey_mean + 0.5 * (f64::from(*v) - grey_mean))).abs() < 1e-3);
        }
    }

    /// To hue, saturation and value and back, as the textbook has it.
    fn turned([r, g, b]: [f64; 3], turn: f64) -> [f64; 3] {
        let (max, min) = (r.max(g).max(b), r.min(g).min(b));
        if max == min {
            return [r, g, b];
        }
        let hue = if max == r {
            (g - b) / (max - min)
        } else if max == g {
            (b - r) / (max - min) + 2.0
        } else {
            (r - g) / (max - min) + 4.0
        };
        let hue = (hue + 6.0 * turn).rem_euclid(6.0);
        let (sector, part) = (hue.floor(), hue.fract());
        let (s, v) = ((max - min) / max, max);
        let [p, q, t] = [v * (1.0 - s), v * (1.0 - s * part), v * (1.0 - s * (1.0 - part))];
        [[v, t, p], [q, v, p], [p, v, t], [p, q, v], [t, p, v], [v, p, q]][sector as usize]
    }

    #[test]
    fn hues_are_turned_as_in_the_textbook() {
        let mut before = noise(3 * 400);
        // Equal channels and pure colours, too.
        for (i, [r, g, b]) in
            [[7., 7., 7.], [255., 0., 0.], [0., 255., 0.], [0., 0., 255.], [255., 255., 0.], [9., 9., 1.]]
                .into_iter()
                .enumerate()
        {
            [before[i], before[400 + i], before[800 + i]] = [r, g, b];
        }
        for turn in [-0.5f32, -0.21, -1.0 / 3.0, 0.0, 0.05, 0.25, 0.5] {
            close(&after(|c| hue(c, turn), &before, 20), |i| turned(pixel(&before, i), f64::from(turn)));
        }
        let grey = noise(400);
        assert_eq!(after(|c| hue(c, 0.3), &grey, 20), grey);
        assert_eq!(after(|c| saturation(c, 0.3), &grey, 20), grey);
        assert_eq!(after(super::grey, &grey, 20), grey);
    }

    #[test]
    fn jitter_is_in_range_and_in_every_order() {
        let config = AugmentConfig { brightness: 0.4, hue: 0.1, ..AugmentConfig::default() };
        let mut orders = std::collections::BTreeSet::new();
        for place in 0..500 {
            let mut rng = Streams::new(2).open(Purpose::Augmentation, [place, 0]);
            let jitter = Jitter::random(&config, &mut rng).unwrap();
            assert!((0.6..1.4).contains(&jitter.brightness) && (-0.1..0.1).contains(&jitter.hue));
            assert_eq!((jitter.contrast, jitter.saturation), (1.0, 1.0));
            orders.insert(jitter.order);
        }
        assert_eq!(orders.len(), 24); // the chance to miss one of 24 in 500 draws is below 1e-7
        let mut rng = Streams::new(2).open(Purpose::Augmentation, [0, 0]);
        let before = rng.clone();
        assert_eq!((Jitter::random(&AugmentConfig::default(), &mut rng), rng), (None, before));
    }
}

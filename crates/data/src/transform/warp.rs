use super::elastic::Elastic;
use super::{AugmentConfig, Fill};
use crate::Picture;
use crate::draw::{around, between, unit};
use crate::turn::sin_cos_degrees;
use npair_types::{ChaCha8Rng, ImageSize};

/// The size of a result, and samples per pixel and axis.
pub(crate) type Grid = (ImageSize, u32);

/// Where each sample of the result is taken from: sample (u, v) from `origin + u * right + v * down` of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Warp {
    origin: [f32; 2],
    right: [f32; 2],
    down: [f32; 2],
}

impl Warp {
    /// The pixels in the middle as they are.
    pub(crate) fn middle(picture: &Picture, size: ImageSize) -> Self {
        let offset = |length: u32, side: u32| ((length - side) / 2) as f32;
        let origin = [offset(picture.width(), size.width), offset(picture.height(), size.height)];
        Self { origin, right: [1.0, 0.0], down: [0.0, 1.0] }
    }

    /// The part that `change` cuts out, changed about its middle.
    pub(crate) fn changed(change: &Change, picture: &Picture, size: ImageSize) -> Self {
        let (sin, cos) = sin_cos_degrees(change.degrees);
        let (shear_sin, shear_cos) = sin_cos_degrees(change.shear);
        let (slant, inverse) = (shear_sin / shear_cos, 1.0 / change.scale);
        let sign = |turned: bool| if turned { -1.0 } else { 1.0 };
        let (mirror, tumble) = (sign(change.mirror), sign(change.upside_down));

        // The picture is slanted, turned and scaled: F = scale R S. Samples go the other way: F^-1 = S^-1 R^T / scale.
        let right = [mirror * inverse * (cos + slant * sin), mirror * inverse * -sin];
        let down = [tumble * inverse * (sin - slant * cos), tumble * inverse * cos];
        let sides = [size.width, size.height];
        let middle = sides.map(|side| (side - 1) as f32 * 0.5);
        let shift = [0, 1].map(|axis| change.shift[axis] * sides[axis] as f32);
        let origin = [0, 1].map(|axis| {
            let free = [picture.width(), picture.height()][axis] - sides[axis];
            let offset = match change.place {
                Some(place) => ((place[axis] * (free + 1) as f32) as u32).min(free),
                None => free / 2,
            };
            let back = right[axis] * (middle[0] + mirror * shift[0]) + down[axis] * (middle[1] + tumble * shift[1]);
            offset as f32 + (middle[axis] - back)
        });
        Self { origin, right, down }
    }

    /// Means of `k` x `k` samples of channel values (0 to 255) for every pixel of a result, handed to
    /// `put(channel, pixel, mean)`.
    pub(crate) fn sample(&self, picture: &Picture, fill: Fill, (size, k): Grid, put: impl FnMut(usize, usize, f32)) {
        match self.straight(picture, size.map(|side| side * k)) {
            Some(([left, top], [mirror, tumble])) => {
                let (width, channels) = (picture.width() as usize, usize::from(picture.channels()));
                let last = size.map(|side| side * k - 1);
                let place = |i: u32, last: u32, back: bool| if back { (last - i) as usize } else { i as usize };
                let take = |u: u32, v: u32, sums: &mut [f32]| {
                    let at = ((top + place(v, last.height, tumble)) * width + left + place(u, last.width, mirror))
                        * channels;
                    sums.iter_mut().zip(&picture.pixels()[at..]).for_each(|(sum, &byte)| *sum += f32::from(byte));
                };
                means((size, k), channels, take, put);
            }
            None => self.blend(picture, fill, (size, k), put),
        }
    }

    /// What [`sample`](Self::sample) gives for one sample a pixel, written to `out` channel by channel, if these are just pixels
    /// of the picture; whether they are.
    pub(crate) fn copy(&self, picture: &Picture, size: ImageSize, out: &mut [f32]) -> bool {
        let Some(([left, top], [mirror, tumble])) = self.straight(picture, size) else { return false };
        let ([high, wide], stride, channels) = (size.dims(), picture.width() as usize, usize::from(picture.channels()));
        for y in 0..high {
            let from = top + if tumble { high - 1 - y } else { y };
            let bytes = &picture.pixels()[(from * stride + left) * channels..][..wide * channels];
            // The lines of the channels stand a whole plane apart.
            let mut lines: Vec<&mut [f32]> = out.chunks_exact_mut(wide).skip(y).step_by(high).collect();
            match &mut lines[..] {
                [red, green, blue] => {
                    let to = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
                    for (((r, g), b), pixel) in to.zip(bytes.chunks_exact(3)) {
                        (*r, *g, *b) = (f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2]));
                    }
                }
                lines => {
                    let to = lines.iter_mut().flat_map(|line| line.iter_mut());
                    to.zip(bytes).for_each(|(to, &byte)| *to = f32::from(byte));
                }
            }
            if mirror {
                lines.iter_mut().for_each(|line| line.reverse());
            }
        }
        true
    }

    /// As [`sample`](Self::sample), by interpolation whether it is needed or not.
    pub(crate) fn blend(&self, picture: &Picture, fill: Fill, grid: Grid, put: impl FnMut(usize, usize, f32)) {
        let source = Source::new(picture, fill);
        let take = |u: u32, v: u32, sums: &mut [f32]| {
            let (u, v) = (u as f32, v as f32);
            let at = |axis: usize| self.origin[axis] + (u * self.right[axis] + v * self.down[axis]);
            source.add(at(0), at(1), sums);
        };
        means(grid, usize::from(picture.channels()), take, put);
    }

    /// As [`blend`](Self::blend), every sample shifted once more.
    pub(crate) fn bend(
        &self,
        elastic: &Elastic,
        picture: &Picture,
        fill: Fill,
        (size, k): Grid,
        put: impl FnMut(usize, usize, f32),
    ) {
        let source = Source::new(picture, fill);
        let lines: Vec<_> = (0..size.height * k).map(|v| elastic.line(v)).collect();
        let take = |u: u32, v: u32, sums: &mut [f32]| {
            let shift = lines[v as usize].at(u);
            let (u, v) = (u as f32, v as f32);
            let at = |axis: usize| self.origin[axis] + (u * self.right[axis] + v * self.down[axis]) + shift[axis];
            source.add(at(0), at(1), sums);
        };
        means((size, k), usize::from(picture.channels()), take, put);
    }

    /// Left and upper border and whether it is mirrored left and right, top and bottom, if the samples are just pixels of the
    /// picture.
    fn straight(&self, picture: &Picture, size: ImageSize) -> Option<([usize; 2], [bool; 2])> {
        let steps = [self.right[0], self.down[1]];
        if self.right[1] != 0.0 || self.down[0] != 0.0 || steps.iter().any(|step| step.abs() != 1.0) {
            return None;
        }
        let back = steps.map(|step| step < 0.0);
        let whole = |axis: usize, side: u32, length: u32| {
            let offset = self.origin[axis] - if back[axis] { (side - 1) as f32 } else { 0.0 };
            let fits = offset >= 0.0 && offset.trunc() == offset && offset + side as f32 <= length as f32;
            fits.then_some(offset as usize)
        };
        Some(([whole(0, size.width, picture.width())?, whole(1, size.height, picture.height())?], back))
    }
}

/// Calls `take(u, v, sums)` for the `k` x `k` samples of each pixel, and `put` with their means.
fn means(
    (size, k): Grid,
    channels: usize,
    take: impl Fn(u32, u32, &mut [f32]),
    mut put: impl FnMut(usize, usize, f32),
) {
    let share = 1.0 / (k * k) as f32;
    for y in 0..size.height {
        for x in 0..size.width {
            let mut sums = [0f32; 3];
            for v in y * k..(y + 1) * k {
                for u in x * k..(x + 1) * k {
                    take(u, v, &mut sums[..channels]);
                }
            }
            for (channel, sum) in sums[..channels].iter().enumerate() {
                put(channel, (y * size.width + x) as usize, sum * share);
            }
        }
    }
}

/// One draw of an [`AugmentConfig`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// Clockwise turn.
    pub(crate) degrees: f32,
    pub(crate) scale: f32,
    /// Slant, degrees.
    pub(crate) shear: f32,
    /// To the right and down, as parts of width and height.
    pub(crate) shift: [f32; 2],
    /// Where to cut, from 0 to 1 of what is free; None is the middle.
    pub(crate) place: Option<[f32; 2]>,
    /// Left and right.
    pub(crate) mirror: bool,
    /// Top and bottom.
    pub(crate) upside_down: bool,
}

impl Change {
    /// Always draws the same number of random numbers, so that one setting does not move another's. Not upside down: that is
    /// drawn later.
    pub(crate) fn random(config: &AugmentConfig, rng: &mut ChaCha8Rng) -> Self {
        let degrees = around(rng, config.rotate);
        let scale = between(rng, config.scale[0], config.scale[1]);
        let shear = around(rng, config.shear);
        let shift = [around(rng, config.shift), around(rng, config.shift)];
        let place = [unit(rng), unit(rng)];
        let mirror = unit(rng) < config.flip;
        Self { degrees, scale, shear, shift, place: config.crop.then_some(place), mirror, upside_down: false }
    }
}

struct Source<'a> {
    pixels: &'a [u8],
    channels: usize,
    width: i32,
    height: i32,
    /// None repeats the border.
    fill: Option<f32>,
}

impl<'a> Source<'a> {
    fn new(picture: &'a Picture, fill: Fill) -> Self {
        let fill = match fill {
            Fill::Edge => None,
            Fill::Value(value) => Some(value * 255.0),
        };
        Self {
            pixels: picture.pixels(),
            channels: usize::from(picture.channels()),
            // A prepared side is at most 8 * 8192 * 4 pixels.
            width: picture.width() as i32,
            height: picture.height() as i32,
            fill,
        }
    }

    /// Adds the bilinear value at (x, y) to the sums of its channels.
    #[inline]
    fn add(&self, x: f32, y: f32, sums: &mut [f32]) {
        let (left, top) = (floor(x), floor(y));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let inside = left >= 0 && top >= 0 && left < self.width - 1 && top < self.height - 1;
        if inside {
            let at = (top as usize * self.width as usize + left as usize) * self.channels;
            let below = at + self.width as usize * self.channels;
            for (c, sum) in sums.iter_mut().enumerate() {
                let value = |i: usize| f32::from(self.pixels[i + c]);
                *sum += blend(value(at), value(at + self.channels), value(below), value(below + self.channels), fx, fy);
            }
        } else {
            for (c, sum) in sums.iter_mut().enumerate() {
                let value = |dx: i32, dy: i32| self.value(left.saturating_add(dx), top.saturating_add(dy), c);
                *sum += blend(value(0, 0), value(1, 0), value(0, 1), value(1, 1), fx, fy);
            }
        }
    }

    fn value(&self, x: i32, y: i32, channel: usize) -> f32 {
        let (near_x, near_y) = (x.clamp(0, self.width - 1), y.clamp(0, self.height - 1));
        match self.fill {
            Some(fill) if (near_x, near_y) != (x, y) => fill,
            _ => {
                let at = (near_y as usize * self.width as usize + near_x as usize) * self.channels + channel;
                f32::from(self.pixels[at])
            }
        }
    }
}

/// Exact where the fractions are 0, so that a picture that is not moved comes out as it went in.
#[inline]
pub(crate) fn blend(a: f32, b: f32, c: f32, d: f32, fx: f32, fy: f32) -> f32 {
    let top = a + (b - a) * fx;
    let bottom = c + (d - c) * fx;
    top + (bottom - top) * fy
}

/// The whole number below; without the library call that `f32::floor` is on plain x86-64.
#[inline]
pub(crate) fn floor(x: f32) -> i32 {
    let towards_zero = x as i32;
    towards_zero - i32::from(x < towards_zero as f32)
}

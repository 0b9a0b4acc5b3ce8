use super::Fill;
use super::warp::{blend, floor};
use npair_types::ImageSize;

/// A picture while its looks are changed: channel values from 0 to 255 as in the file, channel by channel.
pub(crate) struct Canvas<'a> {
    values: &'a mut [f32],
    height: usize,
    width: usize,
}

/// Luma of red, green and blue by the weights of [`Picture::to_grey`](crate::Picture::to_grey).
pub(crate) const LUMA: [f32; 3] = [77.0 / 256.0, 150.0 / 256.0, 29.0 / 256.0];

impl<'a> Canvas<'a> {
    /// Of 1 or 3 channels of as many values.
    pub(crate) fn new(values: &'a mut [f32], size: ImageSize) -> Self {
        let [height, width] = size.dims();
        Self { values, height, width }
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Values of a channel.
    fn area(&self) -> usize {
        self.height * self.width
    }

    pub(crate) fn values(&mut self) -> &mut [f32] {
        self.values
    }

    pub(crate) fn planes(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.height * self.width)
    }

    /// Red, green and blue; None in grey.
    pub(crate) fn colors(&mut self) -> Option<[&mut [f32]; 3]> {
        let plane = self.area();
        if self.values.len() != 3 * plane {
            return None;
        }
        let (red, rest) = self.values.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        Some([red, green, blue])
    }

    /// The mean luma.
    pub(crate) fn mean_luma(&self) -> f32 {
        let plane = self.area();
        let mut means = self.values.chunks_exact(plane).map(|values| sum(values) / plane as f32);
        match (means.next(), means.next(), means.next()) {
            (Some(r), Some(g), Some(b)) => LUMA[0] * r + LUMA[1] * g + LUMA[2] * b,
            (Some(grey), ..) => grey,
            _ => 0.0,
        }
    }

    /// Every pixel (u, v), counted from the middle, is taken from `right * u + down * v + shift`, by interpolation.
    pub(crate) fn moved(&mut self, right: [f32; 2], down: [f32; 2], shift: [f32; 2], fill: Fill) {
        let (width, height) = (self.width, self.height);
        let middle = [width, height].map(|side| (side as f32 - 1.0) * 0.5);
        for plane in self.planes() {
            let source = Plane { values: plane.to_vec(), width: width as i32, height: height as i32, fill };
            for (i, value) in plane.iter_mut().enumerate() {
                let (u, v) = ((i % width) as f32 - middle[0], (i / width) as f32 - middle[1]);
                let at = |axis: usize| middle[axis] + shift[axis] + u * right[axis] + v * down[axis];
                *value = source.at(at(0), at(1));
            }
        }
    }
}

/// Sixteen sums side by side and then one, so that the order of adding is fixed and the compiler may use vectors.
fn sum(values: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum::<f32>() + rest
}

/// One channel before it is moved.
struct Plane {
    values: Vec<f32>,
    width: i32,
    height: i32,
    fill: Fill,
}

impl Plane {
    fn at(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (floor(x), floor(y));
        let value = |dx: i32, dy: i32| {
            let (x, y) = (left.saturating_add(dx), top.saturating_add(dy));
            let (near_x, near_y) = (x.clamp(0, self.width - 1), y.clamp(0, self.height - 1));
            match self.fill {
                Fill::Value(brightness) if (near_x, near_y) != (x, y) => brightness * 255.0,
                _ => self.values[(near_y * self.width + near_x) as usize],
            }
        };
        blend(value(0, 0), value(1, 0), value(0, 1), value(1, 1), x - left as f32, y - top as f32)
    }
}

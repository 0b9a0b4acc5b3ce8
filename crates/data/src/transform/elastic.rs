use crate::draw::around;
use npair_types::{ChaCha8Rng, ImageSize};

/// Segments of the grid along an axis; the grid has a point more than that on every side.
const SEGMENTS: usize = 4;
const POINTS: usize = SEGMENTS + 3;

/// A smooth random displacement of a picture, as hands differ: random shifts at the points of a coarse grid, joined by
/// uniform cubic B-splines, so that neither the shift nor its first two derivatives jump anywhere.
///
/// # Source
/// Simard, Steinkraus, Platt, ICDAR 2003 (random shifts, smoothed); the spline grid in place of a Gaussian blur is ours: it
/// needs 98 random numbers a picture, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Elastic {
    /// Shifts of the grid's points in pixels, row by row.
    shifts: [[[f32; 2]; POINTS]; POINTS],
    /// Segments per pixel, across and down.
    scale: [f32; 2],
}

/// The shifts along one line of the picture.
pub(crate) struct Line {
    shifts: [[f32; 2]; POINTS],
    scale: f32,
}

impl Elastic {
    /// Shifts of at most `reach` of the side along each axis.
    pub(crate) fn random(reach: f32, size: ImageSize, rng: &mut ChaCha8Rng) -> Self {
        let sides = [size.width, size.height].map(|side| side as f32);
        let mut shifts = [[[0.0; 2]; POINTS]; POINTS];
        for shift in shifts.iter_mut().flatten() {
            *shift = sides.map(|side| around(rng, reach * side));
        }
        Self { shifts, scale: sides.map(|side| SEGMENTS as f32 / side) }
    }

    /// The shifts of line `v`.
    pub(crate) fn line(&self, v: u32) -> Line {
        let (first, weights) = spline((v as f32 + 0.5) * self.scale[1]);
        let mut shifts = [[0.0; 2]; POINTS];
        for (row, weight) in self.shifts[first..first + 4].iter().zip(weights) {
            for (sum, shift) in shifts.iter_mut().zip(row) {
                sum[0] += weight * shift[0];
                sum[1] += weight * shift[1];
            }
        }
        Line { shifts, scale: self.scale[0] }
    }
}

impl Line {
    /// The shift at sample `u` of the line.
    #[inline]
    pub(crate) fn at(&self, u: u32) -> [f32; 2] {
        let (first, weights) = spline((u as f32 + 0.5) * self.scale);
        let mut sum = [0.0; 2];
        for (shift, weight) in self.shifts[first..first + 4].iter().zip(weights) {
            sum[0] += weight * shift[0];
            sum[1] += weight * shift[1];
        }
        sum
    }
}

/// The first of the four points that count at `t` segments from the border, and their weights, which add up to 1.
#[inline]
fn spline(t: f32) -> (usize, [f32; 4]) {
    let first = (t as usize).min(SEGMENTS - 1);
    let t = t - first as f32;
    let (s, sixth) = (1.0 - t, 1.0 / 6.0);
    let (t2, s2) = (t * t, s * s);
    let inner = |a: f32, a2: f32| (4.0 - 6.0 * a2 + 3.0 * a2 * a) * sixth;
    (first, [s2 * s * sixth, inner(t, t2), inner(s, s2), t2 * t * sixth])
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    #[test]
    fn weights_add_up_and_join() {
        for i in 0..=40 {
            let (_, weights) = spline(i as f32 * 0.1);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{weights:?}");
        }
        // At a knot the segment before and the one behind agree: 1/6, 4/6, 1/6 of the same three points.
        let (before, behind) = (spline(0.999_999).1, spline(1.0).1);
        for (a, b) in before[1..].iter().zip(&behind[..3]) {
            assert!((a - b).abs() < 1e-5, "{before:?} {behind:?}");
        }
    }

    #[test]
    fn shifts_are_bounded_and_smooth() {
        let mut rng = Streams::new(3).open(Purpose::Augmentation, [0, 0]);
        let elastic = Elastic::random(0.1, 100.into(), &mut rng);
        let mut largest = 0f32;
        for v in 0..100 {
            let line = elastic.line(v);
            let mut last = line.at(0);
            for u in 0..100 {
                let at = line.at(u);
                largest = largest.max(at[0].abs()).max(at[1].abs());
                // Neighbouring weights of a cubic B-spline differ by 2/3 of a segment's part at most, on each side.
                let steepest = 2.0 * 10.0 * 4.0 / 100.0;
                assert!((at[0] - last[0]).abs() < steepest && (at[1] - last[1]).abs() < steepest);
                last = at;
            }
        }
        // A weighted mean of shifts of at most 0.1 of 100 pixels, and not nothing.
        assert!((1.0..=10.0).contains(&largest), "{largest}");
    }
}

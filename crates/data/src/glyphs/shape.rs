use crate::draw::{around, below, between, unit};
use npair_types::ChaCha8Rng;

pub(crate) type Point = [f32; 2];

/// What makes a class: the control points of its strokes, on paper that reaches from -1 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) strokes: Vec<Vec<Point>>,
}

impl Shape {
    /// Two to five strokes of three to five control points. Half of the strokes set out from a point of an earlier
    /// one, as those of letters do; a stroke goes on roughly where it was heading.
    pub(crate) fn random(rng: &mut ChaCha8Rng) -> Self {
        let number = 2 + below(rng, 4);
        let mut strokes: Vec<Vec<Point>> = Vec::with_capacity(number as usize);
        for _ in 0..number {
            let start = match strokes.is_empty() || unit(rng) < 0.5 {
                true => [around(rng, 0.9), around(rng, 0.9)],
                false => {
                    let other = &strokes[below(rng, strokes.len() as u32) as usize];
                    other[below(rng, other.len() as u32) as usize]
                }
            };
            strokes.push(stroke(start, rng));
        }
        let mut shape = Self { strokes };
        shape.fit(0.8);
        shape
    }

    /// Moves and scales the shape so that its longer side just fits between -reach and reach.
    fn fit(&mut self, reach: f32) {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for point in self.strokes.iter().flatten() {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        // No stroke is shorter than its first step, so the longer side is no less than 0.3.
        let scale = 2.0 * reach / (high[0] - low[0]).max(high[1] - low[1]).max(0.3);
        for point in self.strokes.iter_mut().flatten() {
            for axis in 0..2 {
                point[axis] = (point[axis] - 0.5 * (low[axis] + high[axis])) * scale;
            }
        }
    }
}

fn stroke(start: Point, rng: &mut ChaCha8Rng) -> Vec<Point> {
    let mut points = vec![start];
    let mut heading = direction(rng);
    for _ in 0..2 + below(rng, 3) {
        let last = points[points.len() - 1];
        // Bend by up to about 80 degrees; a step off the paper is reflected at its edge.
        let bend = around(rng, 0.85);
        heading = unit_vector([heading[0] - bend * heading[1], heading[1] + bend * heading[0]]);
        let length = between(rng, 0.45, 0.95);
        let mut next = [last[0] + length * heading[0], last[1] + length * heading[1]];
        for axis in 0..2 {
            if next[axis].abs() > 1.0 {
                next[axis] = next[axis].signum() * 2.0 - next[axis];
                heading[axis] = -heading[axis];
            }
        }
        points.push(next);
    }
    points
}

fn unit_vector([x, y]: Point) -> Point {
    let length = (x * x + y * y).sqrt().max(1e-6);
    [x / length, y / length]
}

/// A uniform direction, by rejection from the square.
fn direction(rng: &mut ChaCha8Rng) -> Point {
    loop {
        let [x, y] = [around(rng, 1.0), around(rng, 1.0)];
        let square = x * x + y * y;
        if (0.01..1.0).contains(&square) {
            return unit_vector([x, y]);
        }
    }
}

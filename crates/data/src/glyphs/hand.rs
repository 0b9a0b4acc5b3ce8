use super::shape::{Point, Shape};
use crate::draw::{around, bell, between};
use crate::turn::sin_cos_degrees;
use npair_types::ChaCha8Rng;

/// Pieces of the curve between two control points.
const PIECES: usize = 5;

/// One point of an inked line: where, and the radius of the pen there.
pub(crate) type Inked = [f32; 3];

/// What is common to all strokes of one instance: pose and pen.
#[derive(Debug)]
pub(crate) struct Hand {
    /// Columns of the map from the class's paper to the picture's, which reaches from -1 to 1, too.
    x: Point,
    y: Point,
    shift: Point,
    radius: f32,
}

impl Hand {
    pub(crate) fn random(rng: &mut ChaCha8Rng) -> Self {
        let (sin, cos) = sin_cos_degrees(bell(rng, 11.0));
        let size = between(rng, 0.66, 0.94);
        let (wide, high) = (size * between(rng, 0.85, 1.15), size * between(rng, 0.85, 1.15));
        let slant = bell(rng, 0.16);
        // Stretch, then slant (x gains from y), then turn.
        let x = [cos * wide, sin * wide];
        let y = [(cos * slant - sin) * high, (sin * slant + cos) * high];
        Self { x, y, shift: [around(rng, 0.16), around(rng, 0.16)], radius: between(rng, 0.04, 0.072) }
    }

    /// The inked lines of one instance of a class.
    pub(crate) fn write(&self, shape: &Shape, rng: &mut ChaCha8Rng) -> Vec<Vec<Inked>> {
        shape.strokes.iter().map(|stroke| self.line(stroke, rng)).collect()
    }

    fn line(&self, stroke: &[Point], rng: &mut ChaCha8Rng) -> Vec<Inked> {
        let moved = [bell(rng, 0.06), bell(rng, 0.06)];
        let points: Vec<Point> = stroke
            .iter()
            .map(|p| [p[0] + moved[0] + bell(rng, 0.085), p[1] + moved[1] + bell(rng, 0.085)])
            .map(|[x, y]| {
                let axis = |i: usize| self.x[i] * x + self.y[i] * y + self.shift[i];
                [axis(0), axis(1)]
            })
            .collect();
        let pressure = [between(rng, 0.75, 1.25), between(rng, 0.75, 1.25)];
        let mut tremble = [0.0f32; 2];
        let pieces = (points.len() - 1) * PIECES;
        (0..=pieces)
            .map(|i| {
                let [x, y] = catmull_rom(&points, i);
                // A hand does not jump: its error decays and is renewed.
                tremble = tremble.map(|t| 0.7 * t + bell(rng, 0.008));
                let along = i as f32 / pieces as f32;
                let press = pressure[0] + (pressure[1] - pressure[0]) * along;
                [x + tremble[0], y + tremble[1], self.radius * press]
            })
            .collect()
    }
}

/// Point `i / PIECES` of the Catmull-Rom curve through `points`; at its ends the missing neighbours are mirrored.
fn catmull_rom(points: &[Point], i: usize) -> Point {
    let last = points.len() - 1;
    let from = (i / PIECES).min(last - 1);
    let t = (i - from * PIECES) as f32 / PIECES as f32;
    let (p1, p2) = (points[from], points[from + 1]);
    let p0 = if from > 0 { points[from - 1] } else { mirrored(p2, p1) };
    let p3 = if from + 2 <= last { points[from + 2] } else { mirrored(p1, p2) };
    let axis = |k: usize| {
        let linear = p2[k] - p0[k];
        let square = 2.0 * p0[k] - 5.0 * p1[k] + 4.0 * p2[k] - p3[k];
        let cubic = 3.0 * (p1[k] - p2[k]) + p3[k] - p0[k];
        p1[k] + 0.5 * t * (linear + t * (square + t * cubic))
    };
    [axis(0), axis(1)]
}

/// `point` mirrored at `centre`.
fn mirrored(point: Point, centre: Point) -> Point {
    [2.0 * centre[0] - point[0], 2.0 * centre[1] - point[1]]
}

//! The descent of t-SNE on its divergence.

use rayon::prelude::*;

/// Points on the plane, a list for each axis.
#[derive(Debug, Clone)]
pub struct Plane {
    /// Across.
    pub x: Vec<f64>,
    /// Upwards.
    pub y: Vec<f64>,
}

/// What a row adds to the sums: attraction and repulsion on both axes, and to the sum over all pairs.
#[derive(Clone, Copy, Default)]
struct Row {
    pull: [f64; 2],
    push: [f64; 2],
    sum: f64,
}

/// The gradient of the divergence of P from Q by every point; P is multiplied by `exaggeration`.
pub fn gradient(p: &[f64], at: &Plane, exaggeration: f64) -> Vec<[f64; 2]> {
    let n = at.x.len();
    let rows: Vec<Row> = p.par_chunks(n).enumerate().map(|(i, line)| one_row(line, at, i)).collect();
    // In the order of rows, whichever thread was first.
    let sum: f64 = rows.iter().map(|r| r.sum).sum();
    let own = |r: &Row| [0, 1].map(|axis| 4. * (exaggeration * r.pull[axis] - r.push[axis] / sum));
    rows.iter().map(own).collect()
}

/// One row's sums, in the order of the other points. Its own point adds nothing: the distance is 0, and 1 is taken off the sum.
fn one_row(line: &[f64], at: &Plane, i: usize) -> Row {
    let (x, y) = (at.x[i], at.y[i]);
    let mut row = Row::default();
    for ((p, ox), oy) in line.iter().zip(&at.x).zip(&at.y) {
        let (dx, dy) = (x - ox, y - oy);
        let near = 1. / (1. + dx * dx + dy * dy);
        row.sum += near;
        let (pull, push) = (p * near, near * near);
        row.pull[0] += pull * dx;
        row.pull[1] += pull * dy;
        row.push[0] += push * dx;
        row.push[1] += push * dy;
    }
    row.sum -= 1.;
    row
}

/// Momentum, and a rate of its own for every coordinate that grows while the sign stays (Jacobs 1988), as van der Maaten has it.
pub struct Descent {
    velocity: Vec<[f64; 2]>,
    gain: Vec<[f64; 2]>,
    rate: f64,
}

impl Descent {
    /// At rest.
    pub fn new(points: usize, rate: f64) -> Self {
        Self { velocity: vec![[0.; 2]; points], gain: vec![[1.; 2]; points], rate }
    }

    /// One step; the middle stays at 0.
    pub fn step(&mut self, at: &mut Plane, gradient: &[[f64; 2]], momentum: f64) {
        for (i, slope) in gradient.iter().enumerate() {
            for (axis, place) in [&mut at.x[i], &mut at.y[i]].into_iter().enumerate() {
                let (velocity, gain) = (&mut self.velocity[i][axis], &mut self.gain[i][axis]);
                let is_on = (*velocity > 0.) != (slope[axis] > 0.);
                *gain = if is_on { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                *velocity = momentum * *velocity - self.rate * *gain * slope[axis];
                *place += *velocity;
            }
        }
        for axis in [&mut at.x, &mut at.y] {
            let mean = axis.iter().sum::<f64>() / axis.len() as f64;
            axis.iter_mut().for_each(|v| *v -= mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Plane, gradient};
    use crate::map::affinity::joint;
    use rand::{Rng, SeedableRng};

    /// The divergence of P from Q, as it is defined.
    fn divergence(p: &[f64], at: &Plane) -> f64 {
        let n = at.x.len();
        let near = |i: usize, j: usize| 1. / (1. + (at.x[i] - at.x[j]).powi(2) + (at.y[i] - at.y[j]).powi(2));
        let pairs = || (0..n).flat_map(|i| (0..n).filter(move |&j| j != i).map(move |j| (i, j)));
        let sum: f64 = pairs().map(|(i, j)| near(i, j)).sum();
        pairs()
            .filter(|&(i, j)| p[i * n + j] > 0.)
            .map(|(i, j)| p[i * n + j] * (p[i * n + j] * sum / near(i, j)).ln())
            .sum()
    }

    #[test]
    fn the_gradient_is_that_of_central_differences() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
        let n = 15;
        let rows: Vec<f64> = (0..n * 4).map(|_| rng.random()).collect();
        let p = joint(&rows, 4, 4.);
        let mut draw = || (0..n).map(|_| rng.random::<f64>() * 3.).collect::<Vec<f64>>();
        let at = Plane { x: draw(), y: draw() };
        let slopes = gradient(&p, &at, 1.);
        let h = 1e-5;
        for i in 0..n {
            for axis in 0..2 {
                let moved = |by: f64| {
                    let mut other = at.clone();
                    if axis == 0 {
                        other.x[i] += by
                    } else {
                        other.y[i] += by
                    }
                    divergence(&p, &other)
                };
                let difference = (moved(h) - moved(-h)) / (2. * h);
                // Rounding of the divergence over h, and a third derivative times h squared: both about 1e-10.
                assert!(
                    (difference - slopes[i][axis]).abs() < 1e-8,
                    "{i}, {axis}: {difference} and {}",
                    slopes[i][axis]
                );
            }
        }
    }
}

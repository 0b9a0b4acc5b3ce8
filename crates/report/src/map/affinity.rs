//! How much every point of the data wants every other near: the P of t-SNE.

use rayon::prelude::*;

/// How far the logarithm of a row's perplexity may be from the one asked for.
const NEAR: f64 = 1e-6;
/// Halvings at most: a double has no more bits to tell.
const HALVINGS: usize = 200;

/// Squared distances of all rows: (n, n), row by row.
fn distances(rows: &[f64], dim: usize) -> Vec<f64> {
    let n = rows.len() / dim;
    let mut out = vec![0f64; n * n];
    out.par_chunks_mut(n.max(1)).zip(rows.par_chunks(dim)).for_each(|(line, row)| {
        for (entry, other) in line.iter_mut().zip(rows.chunks_exact(dim)) {
            *entry = row.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
        }
    });
    out
}

/// The joint probabilities of van der Maaten and Hinton: symmetric, the whole matrix adds up to 1, the diagonal is 0.
pub fn joint(rows: &[f64], dim: usize, perplexity: f64) -> Vec<f64> {
    let n = rows.len() / dim;
    let mut p = distances(rows, dim);
    p.par_chunks_mut(n).enumerate().for_each(|(i, line)| calibrate(line, i, perplexity));
    let symmetric = |i: usize, j: usize| (p[i * n + j] + p[j * n + i]) / (2. * n as f64);
    (0..n * n).into_par_iter().map(|at| symmetric(at / n, at % n)).collect()
}

/// Turns squared distances into probabilities whose perplexity is the one asked for, as far as the distances allow: of more equal
/// nearest points than that, all count alike.
fn calibrate(line: &mut [f64], own: usize, perplexity: f64) {
    let others = || (0..line.len()).filter(|&j| j != own);
    let nearest = others().map(|j| line[j]).fold(f64::INFINITY, f64::min);
    let mean = others().map(|j| line[j] - nearest).sum::<f64>() / (line.len() - 1) as f64;
    let target = perplexity.ln();
    // Beta in units of the distances, so that it begins near its end whatever their size.
    let (mut low, mut high) = (0f64, f64::INFINITY);
    let mut beta = if mean > 0. { 1. / mean } else { 1. };
    for _ in 0..HALVINGS {
        let error = entropy(line, own, nearest, beta) - target;
        if error.abs() < NEAR {
            break;
        }
        if error > 0. {
            low = beta;
            beta = if high.is_finite() { (low + high) / 2. } else { beta * 2. };
        } else {
            high = beta;
            beta = (low + high) / 2.;
        }
        if !beta.is_finite() {
            beta = f64::MAX;
            break;
        }
    }
    let mut sum = 0.;
    for (j, entry) in line.iter_mut().enumerate() {
        *entry = if j == own { 0. } else { (-beta * (*entry - nearest)).exp() };
        sum += *entry;
    }
    line.iter_mut().for_each(|entry| *entry /= sum);
}

/// Entropy, in nats, of probabilities that fall with the distance beyond the nearest.
fn entropy(line: &[f64], own: usize, nearest: f64, beta: f64) -> f64 {
    let (mut sum, mut weighted) = (0f64, 0f64);
    for (_, d) in line.iter().enumerate().filter(|(j, _)| *j != own) {
        let weight = (-beta * (d - nearest)).exp();
        sum += weight;
        weighted += weight * (d - nearest);
    }
    sum.ln() + beta * weighted / sum
}

#[cfg(test)]
mod tests {
    use super::{calibrate, joint};
    use rand::{Rng, SeedableRng};

    fn random(n: usize, dim: usize, size: f64) -> Vec<f64> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        (0..n * dim).map(|_| rng.random::<f64>() * size).collect()
    }

    #[test]
    fn every_row_has_the_perplexity_asked_for() {
        for (size, perplexity) in [(1., 5.), (1e-6, 30.), (1e6, 12.), (1., 1.5)] {
            let rows = random(100, 7, size);
            let distances = super::distances(&rows, 7);
            for (i, line) in distances.chunks(100).enumerate() {
                let mut p = line.to_vec();
                calibrate(&mut p, i, perplexity);
                let entropy: f64 = p.iter().filter(|&&v| v > 0.).map(|v| -v * v.ln()).sum();
                // Twice the tolerance, for the rounding of a hundred logarithms.
                assert!((entropy - perplexity.ln()).abs() < 2e-6, "{size}, row {i}: {}", entropy.exp());
                assert!((p.iter().sum::<f64>() - 1.).abs() < 1e-12 && p[i] == 0.);
            }
        }
    }

    #[test]
    fn the_joint_matrix_is_symmetric_and_adds_up_to_one() {
        let p = joint(&random(40, 3, 1.), 3, 8.);
        assert!((p.iter().sum::<f64>() - 1.).abs() < 1e-12);
        assert!((0..40).all(|i| p[i * 41] == 0. && (0..40).all(|j| p[i * 40 + j] == p[j * 40 + i])));
    }

    #[test]
    fn equal_points_are_no_trouble() {
        let p = joint(&[1.; 30], 3, 3.);
        assert!(p.iter().all(|v| v.is_finite()));
        assert!((p[1] - 1. / 90.).abs() < 1e-12, "{}", p[1]);
    }
}

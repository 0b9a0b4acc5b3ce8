use super::centred;
use crate::Result;
use nalgebra::DMatrix;

/// Directions that are followed at once: more than two, so that the second is found soon where the third is almost as strong.
const BLOCK: usize = 8;
/// Rounds at most.
const ROUNDS: usize = 300;
/// Share of the spread that another round would still move.
const STILL: f64 = 1e-12;

/// Rows on the plane of their two strongest directions (principal components), one point a row.
///
/// # Numerics
/// f64, by subspace iteration on the covariance, which is never formed. Signs are fixed: the largest entry of a direction is
/// positive. The same bits on any number of threads.
///
/// # Errors
/// [`crate::Error::Rows`] if the values are no rows of that width, [`crate::Error::NotFinite`].
///
/// # Examples
/// ```
/// // On a line: the second coordinate is 0.
/// let points = npair_report::pca(&[0., 0., 3., 4., 6., 8.], 2)?;
/// assert!((points[2][0] - 5.).abs() < 1e-6 && points[2][1].abs() < 1e-6);
/// # Ok::<(), npair_report::Error>(())
/// ```
pub fn pca(rows: &[f32], dim: usize) -> Result<Vec<[f32; 2]>> {
    let values = centred(rows, dim)?;
    let n = values.len() / dim;
    let points = plane(&DMatrix::from_row_slice(n, dim, &values));
    Ok(points.iter().map(|p| p.map(|v| v as f32)).collect())
}

/// Coordinates of centred rows along their two strongest directions.
pub fn plane(rows: &DMatrix<f64>) -> Vec<[f64; 2]> {
    let (n, dim) = rows.shape();
    let largest = rows.amax();
    if n == 0 || largest == 0. {
        return vec![[0.; 2]; n];
    }
    let directions = directions(rows, BLOCK.min(dim).min(n));
    let mut points = vec![[0f64; 2]; n];
    for (axis, direction) in directions.iter().enumerate() {
        let along = rows * direction;
        points.iter_mut().zip(along.iter()).for_each(|(point, value)| point[axis] = *value);
    }
    points
}

/// The two strongest directions, or the only one, of unit length.
fn directions(rows: &DMatrix<f64>, block: usize) -> Vec<nalgebra::DVector<f64>> {
    let dim = rows.ncols();
    // Any start will do that is at right angles to none of the directions; waves of no common period are not.
    let start = DMatrix::from_fn(dim, block, |i, j| ((i + 1) as f64 * (j as f64 + 1.).sqrt() * 0.7548776662).sin());
    let mut basis = start.qr().q();
    let mut last = f64::NEG_INFINITY;
    for _ in 0..ROUNDS {
        let seen = rows * &basis;
        let next = rows.tr_mul(&seen);
        let spread = strongest(&seen.tr_mul(&seen)).0;
        basis = next.qr().q();
        if (spread - last).abs() <= STILL * spread {
            break;
        }
        last = spread;
    }
    let seen = rows * &basis;
    let (_, turn) = strongest(&seen.tr_mul(&seen));
    let signed = turn.column_iter().map(|column| {
        let direction = &basis * column;
        // The first of the largest entries, so that rounding does not choose.
        let size = direction.amax() * (1. - 1e-9);
        let sign = direction.iter().find(|v| v.abs() >= size).map_or(1., |v| v.signum());
        direction * sign
    });
    signed.collect()
}

/// The sum of the two largest eigenvalues of a small symmetric matrix, and their vectors as columns.
fn strongest(matrix: &DMatrix<f64>) -> (f64, DMatrix<f64>) {
    let eigen = matrix.clone().symmetric_eigen();
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    order.truncate(2);
    let sum = order.iter().map(|&at| eigen.eigenvalues[at]).sum();
    (sum, eigen.eigenvectors.select_columns(order.iter()))
}

#[cfg(test)]
mod tests {
    use super::pca;
    use rand::{Rng, SeedableRng};

    fn random(n: usize, dim: usize) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        (0..n * dim).map(|i| (rng.random::<f32>() - 0.5) * (1. + 3. / (1 + i % dim) as f32)).collect()
    }

    /// The singular values of the centred matrix are what the coordinates' lengths have to be.
    #[test]
    fn spread_is_that_of_the_singular_values() {
        for (n, dim) in [(60, 20), (20, 60), (5, 3), (3, 5), (40, 2)] {
            let rows = random(n, dim);
            let centred = super::centred(&rows, dim).expect("rows");
            let svd = nalgebra::DMatrix::from_row_slice(n, dim, &centred).svd(false, false);
            let mut singular: Vec<f64> = svd.singular_values.iter().copied().collect();
            singular.sort_by(|a, b| b.total_cmp(a));
            let points = pca(&rows, dim).expect("rows");
            for axis in 0..2 {
                let length = points.iter().map(|p| f64::from(p[axis]).powi(2)).sum::<f64>().sqrt();
                // Coordinates are rounded to f32.
                assert!((length - singular[axis]).abs() < 1e-6 * singular[0], "{n} x {dim}: {length}, {singular:?}");
            }
            let product: f64 = points.iter().map(|p| f64::from(p[0]) * f64::from(p[1])).sum();
            assert!(product.abs() < 1e-5 * singular[0] * singular[1], "{n} x {dim}: the axes are not at right angles");
        }
    }

    #[test]
    fn signs_do_not_depend_on_the_order_of_rows() {
        let rows = random(30, 6);
        let mut reversed: Vec<f32> = Vec::new();
        rows.chunks_exact(6).rev().for_each(|row| reversed.extend(row));
        let (one, other) = (pca(&rows, 6).expect("rows"), pca(&reversed, 6).expect("rows"));
        for (a, b) in one.iter().zip(other.iter().rev()) {
            assert!((a[0] - b[0]).abs() < 1e-5 && (a[1] - b[1]).abs() < 1e-5, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn what_has_no_spread_lies_in_one_point() {
        assert_eq!(pca(&[2.; 12], 3).expect("rows"), [[0.; 2]; 4]);
        assert_eq!(pca(&[], 3).expect("no rows"), Vec::<[f32; 2]>::new());
        assert_eq!(pca(&[1., 3.], 1).expect("rows"), [[-1., 0.], [1., 0.]]);
        assert!(pca(&[1., 2., 3.], 2).is_err() && pca(&[1.], 0).is_err() && pca(&[f32::NAN], 1).is_err());
    }
}

use crate::{Embeddings, Error, Result};
use npair_similarity::Rows;
use npair_types::Measure;
use serde::Serialize;

/// What the embedding space looks like, of rows scaled to length 1 (a zero row stays zero).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnostics {
    /// Mean squared distance of two rows of one class: "alignment" of Wang and Isola, with exponent 2. 0 is best.
    pub alignment: f64,
    /// `log mean exp(-2 |x - y|^2)` over pairs of rows: "uniformity" of Wang and Isola. Smaller is more even; 0 if all are alike.
    pub uniformity: f64,
    /// Mean squared distance of two rows of two classes.
    pub between: f64,
    /// `alignment` over `between`. Below 1 classes are tighter than the whole.
    pub intra_over_inter: f64,
    /// Eigenvalues of the rows' covariance as shares of their sum, largest first; none if all rows are alike.
    pub spectrum: Vec<f64>,
    /// Number of directions in use: `exp` of the entropy of the spectrum, from 1 to D; 0 if all rows are alike.
    pub effective_rank: f64,
}

/// Diagnostics of a labeled set.
///
/// # Numerics
/// f64. Distances are streamed; the covariance is a matrix (D, D).
///
/// # Errors
/// [`Error::NoPositive`] if no two rows are of one class, [`Error::OneKindOfPair`] if all are.
///
/// # Source
/// Wang and Isola, ICML 2020; effective rank: Roy and Vetterli, EUSIPCO 2007.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, diagnostics};
/// # use npair_types::Labels;
/// // Two classes on opposite sides of a circle, each in one point: one direction.
/// let set = Embeddings::new(&[1f64, 0., 2., 0., -1., 0., -3., 0.], 2, Labels::new([1, 1, 2, 2])?)?;
/// let found = diagnostics(&set)?;
/// assert_eq!((found.alignment, found.intra_over_inter, found.effective_rank), (0., 0., 1.));
/// // Of the six pairs two are at distance 0 and four at squared distance 4.
/// assert!((found.uniformity - ((2. + 4. * (-8f64).exp()) / 6.).ln()).abs() < 1e-14);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn diagnostics(set: &Embeddings) -> Result<Diagnostics> {
    let (n, d) = (set.len(), set.width());
    let mut unit = set.wide().into_owned();
    for row in unit.chunks_exact_mut(d) {
        let largest = row.iter().fold(0f64, |most, v| most.max(v.abs()));
        if largest > 0. {
            row.iter_mut().for_each(|v| *v /= largest);
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.iter_mut().for_each(|v| *v /= length);
        }
    }
    let rows = Rows::new(&unit, d)?;
    // Of every row, over the rows behind it: (sum, count) of one class and of two, and the sum of exponentials.
    let sums = rows.map_lines(rows, Measure::SquaredEuclidean, |i, line| {
        let mut own = [(0f64, 0usize); 2];
        let mut exps = 0f64;
        for j in i + 1..n {
            let (sum, count) = &mut own[usize::from(!set.labels().same(i, j))];
            *sum -= line[j];
            *count += 1;
            exps += (2. * line[j]).exp();
        }
        (own, exps)
    })?;
    let total = |kind: usize| sums.iter().fold((0., 0), |(s, n), (own, _)| (s + own[kind].0, n + own[kind].1));
    let ((intra, same), (inter, other)) = (total(0), total(1));
    if same == 0 {
        return Err(Error::NoPositive { queries: n });
    }
    if other == 0 {
        return Err(Error::OneKindOfPair { same, other });
    }
    let (alignment, between) = (intra / same as f64, inter / other as f64);
    let spectrum = spectrum(&unit, d);
    let entropy = -spectrum.iter().filter(|&&p| p > 0.).map(|p| p * p.ln()).sum::<f64>();
    Ok(Diagnostics {
        alignment,
        between,
        uniformity: (sums.iter().map(|s| s.1).sum::<f64>() / (same + other) as f64).ln(),
        intra_over_inter: if between == 0. { 1. } else { alignment / between },
        effective_rank: if spectrum.is_empty() { 0. } else { entropy.exp() },
        spectrum,
    })
}

/// Eigenvalues of the covariance over their sum, largest first; none where the spread is no more than what rounding makes of equal rows:
/// the mean of n values up to 1 is off by at most n machine epsilons, in each of n d places.
fn spectrum(rows: &[f64], d: usize) -> Vec<f64> {
    let n = rows.len() / d;
    let mut mean = vec![0f64; d];
    rows.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v));
    mean.iter_mut().for_each(|m| *m /= n as f64);
    let centred: Vec<f64> = rows.chunks_exact(d).flat_map(|row| row.iter().zip(&mean).map(|(v, m)| v - m)).collect();
    let centred = nalgebra::DMatrix::from_row_slice(n, d, &centred);
    // The smaller of the two products has the same eigenvalues other than 0.
    let product = if n < d { &centred * centred.transpose() } else { centred.transpose() * &centred };
    let mut values: Vec<f64> = product.symmetric_eigenvalues().iter().map(|v| v.max(0.)).collect();
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    let sum: f64 = values.iter().sum();
    if sum <= rows.len() as f64 * (n as f64 * f64::EPSILON).powi(2) {
        return Vec::new();
    }
    values.iter_mut().for_each(|v| *v /= sum);
    values.resize(d, 0.);
    values
}

use crate::{Error, Result};
use npair_similarity::{Exclude, Rows, UnitRows};
use npair_types::Measure;
use serde::{Deserialize, Serialize};

/// Query expansion: a query becomes the mean of itself and its nearest rows, and is asked again.
///
/// ```text
/// q' = unit(q + sum_i max(s_i, 0)^alpha x_i),    s_i = q . x_i, the cosine of its i-th nearest row
/// ```
/// Queries and rows are taken at unit length. With `alpha` 0 all of the nearest count alike (average query expansion); with a large
/// one far rows hardly do.
///
/// # Source
/// Chum et al., ICCV 2007 (alpha 0); Radenovic, Tolias and Chum, TPAMI 2018 (alpha 3, 50 rows).
///
/// # Examples
/// ```
/// # use npair_index::QueryExpansion;
/// # use npair_similarity::Rows;
/// let gallery = Rows::new(&[0.6f32, 0.8, -1., 0.], 2)?;
/// let found = QueryExpansion { rows: 1, alpha: 0. }.expand(Rows::new(&[1f32, 0.], 2)?, gallery)?;
/// assert!((found[0] - 1.6 / 3.2f32.sqrt()).abs() < 1e-6); // (1, 0) + (0.6, 0.8), of length sqrt(3.2)
/// # Ok::<(), npair_index::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryExpansion {
    /// How many of the nearest rows are added; fewer if there are fewer.
    pub rows: usize,
    /// The power of a row's cosine that weighs it; 0 or more.
    pub alpha: f64,
}

impl QueryExpansion {
    /// The expanded queries (Q, D), at unit length; a query that is zero stays zero.
    ///
    /// # Shapes
    /// `queries` (Q, D), `gallery` (G, D).
    ///
    /// # Errors
    /// [`Error::Setting`] if `rows` is 0 or `alpha` is negative or not finite; if widths differ.
    pub fn expand(&self, queries: Rows<f32>, gallery: Rows<f32>) -> Result<Vec<f32>> {
        if self.rows == 0 || !self.alpha.is_finite() || self.alpha < 0. {
            let why = format!("needs 1 row or more and an alpha of 0 or more, not {} and {}", self.rows, self.alpha);
            return Err(Error::setting("query expansion", why));
        }
        let near = queries.top_k(gallery, Measure::Cosine, self.rows, Exclude::Nothing)?;
        let unit = UnitRows::new(queries);
        let mut all = Vec::with_capacity(queries.as_slice().len());
        for i in 0..queries.len() {
            let mut sum: Vec<f64> = unit.rows().row(i).iter().map(|&v| f64::from(v)).collect();
            let is_zero = sum.iter().all(|v| *v == 0.);
            for (&at, &cosine) in near.indices(i).iter().zip(near.similarity(i)) {
                let weight = f64::from(cosine.max(0.)).powf(self.alpha);
                // 0 to the power of 0 is 1, but a row on the far side is no neighbour.
                if cosine > 0. && !is_zero {
                    add(&mut sum, weight, gallery.row(at as usize));
                }
            }
            let length = length(&sum);
            all.extend(sum.iter().map(|v| if length > 0. { (v / length) as f32 } else { 0. }));
        }
        Ok(all)
    }
}

/// Adds a row at unit length.
fn add(sum: &mut [f64], weight: f64, row: &[f32]) {
    let row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
    let length = length(&row);
    sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v / length);
}

/// Lengths of f32 values neither overflow nor vanish in f64.
fn length(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    /// By the definition, all cosines in f64.
    fn naive(queries: &[f32], gallery: &[f32], d: usize, expansion: QueryExpansion) -> Vec<f64> {
        let unit = |row: &[f32]| -> Vec<f64> {
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            row.iter().map(|&v| f64::from(v) / length).collect()
        };
        let mut all = Vec::new();
        for q in queries.chunks(d).map(unit) {
            let mut near: Vec<(f64, Vec<f64>)> =
                gallery.chunks(d).map(unit).map(|x| (x.iter().zip(&q).map(|(a, b)| a * b).sum(), x)).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut sum = q.clone();
            for (s, x) in near.iter().take(expansion.rows).filter(|(s, _)| *s > 0.) {
                sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += s.powf(expansion.alpha) * x);
            }
            let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
            all.extend(sum.iter().map(|v| v / length));
        }
        all
    }

    #[test]
    fn expansion_is_that_of_its_definition() {
        let d = 7;
        let (queries, gallery) = (noise(5 * d, 1), noise(30 * d, 2));
        for (rows, alpha) in [(1, 0.), (5, 0.), (10, 3.), (100, 1.)] {
            let expansion = QueryExpansion { rows, alpha };
            let got = expansion.expand(Rows::new(&queries, d).unwrap(), Rows::new(&gallery, d).unwrap()).unwrap();
            for (got, want) in got.iter().zip(naive(&queries, &gallery, d, expansion)) {
                // Cosines come rounded to f32.
                assert!((f64::from(*got) - want).abs() < 1e-6, "{rows} {alpha}: {got} {want}");
            }
        }
    }

    #[test]
    fn a_zero_query_stays_and_settings_are_checked() {
        let gallery = Rows::new(&[1f32, 0.], 2).unwrap();
        let zero = Rows::new(&[0f32, 0.], 2).unwrap();
        assert_eq!(QueryExpansion { rows: 1, alpha: 0. }.expand(zero, gallery).unwrap(), [0., 0.]);
        for wrong in [QueryExpansion { rows: 0, alpha: 0. }, QueryExpansion { rows: 1, alpha: f64::NAN }] {
            assert!(wrong.expand(zero, gallery).unwrap_err().to_string().contains("query expansion"));
        }
    }
}

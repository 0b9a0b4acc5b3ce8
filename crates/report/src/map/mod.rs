//! Embeddings on a plane. Both maps give the same bits for the same rows on any number of threads.
//!
//! The t-SNE is the exact one, written here: `bhtsne` 0.7, which was looked at, adds up over all pairs in an order that depends on the
//! threads, and for the two thousand points that a page can show no tree is needed.

mod affinity;
mod descent;
mod pca;
mod tsne;

pub use pca::pca;
pub use tsne::{MOST_ROWS, Tsne, tsne};

use crate::{Error, Result};

/// Rows less their mean, in f64.
fn centred(rows: &[f32], dim: usize) -> Result<Vec<f64>> {
    if dim == 0 || !rows.len().is_multiple_of(dim) {
        return Err(Error::Rows { values: rows.len(), width: dim });
    }
    if let Some(at) = rows.iter().position(|v| !v.is_finite()) {
        return Err(Error::NotFinite { place: format!("value {} of row {}", at % dim, at / dim) });
    }
    let mut mean = vec![0f64; dim];
    for row in rows.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v));
    }
    let count = (rows.len() / dim).max(1) as f64;
    mean.iter_mut().for_each(|m| *m /= count);
    Ok(rows.chunks_exact(dim).flat_map(|row| row.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m)).collect())
}

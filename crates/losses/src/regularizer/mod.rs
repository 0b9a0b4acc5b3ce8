//! Penalties of rows, added to a loss with a weight.

mod center_invariant;
mod ko_leo;
mod lp_norm;
mod nearest;
mod norm_penalty;
mod regular_face;
mod sparse_centers;
mod uniformity;
mod zero_mean;

pub use center_invariant::{CenterInvariant, CenterInvariantSettings};
pub use ko_leo::{KoLeo, KoLeoSettings};
pub use lp_norm::{LpNorm, LpNormSettings};
pub use norm_penalty::{NormForm, NormPenalty, NormPenaltySettings};
pub use regular_face::{RegularFace, RegularFaceSettings};
pub use sparse_centers::{SparseCenters, SparseCentersSettings};
pub use uniformity::{Uniformity, UniformitySettings};
pub use zero_mean::{ZeroMean, ZeroMeanSettings};

use crate::Result;
use candle_core::Tensor;
use npair_types::Settings;

/// A penalty of rows, added to a loss with a weight: of the embeddings of a batch, or of the rows that a loss has for every
/// class (see [`Loss::variables`](crate::Loss::variables)).
pub trait Regularizer: Send + Sync {
    /// The penalty of rows (B, D): a scalar with gradient, f32 or f64. Number types and numbers that are not finite are as for a
    /// [`Batch`](crate::Batch).
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the rows are no matrix, [`Error::TooFew`](crate::Error::TooFew) if there are
    /// fewer than the penalty compares, a similarity error with the first row that is not finite.
    fn penalty(&self, rows: &Tensor) -> Result<Tensor>;

    /// Its name in errors.
    fn name(&self) -> &str;
}

impl<R: Regularizer + ?Sized> Regularizer for Box<R> {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        (**self).penalty(rows)
    }
    fn name(&self) -> &str {
        (**self).name()
    }
}

/// The settings of a regularizer, which know how to make it.
pub trait RegularizerSettings: Settings {
    /// The regularizer of these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    fn build(&self) -> Result<Box<dyn Regularizer>>;
}

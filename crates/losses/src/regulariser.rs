use crate::Result;
use candle_core::Tensor;

/// A penalty of rows, added to a loss with a weight: of the embeddings of a batch, or of the rows that a loss has for every
/// class (see [`Loss::variables`](crate::Loss::variables)).
pub trait Regulariser: Send + Sync {
    /// The penalty of rows (B, D), f32 or f64: a scalar with gradient.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the rows are no matrix, [`Error::TooFew`](crate::Error::TooFew) if there are
    /// fewer than the penalty compares, a similarity error with the first row that is not finite where rows are compared.
    fn of(&self, rows: &Tensor) -> Result<Tensor>;
}

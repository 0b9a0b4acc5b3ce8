//! Losses of embeddings and labels and nothing else.

use candle_core::Tensor;
use npair_losses::{Batch, Loss, LossValue, Result};
use npair_types::Labels;

/// A loss of a batch without tuples and reference.
pub trait OfBatch {
    /// The loss of `x`, whose rows have the labels `y`.
    fn of_batch(&self, x: &Tensor, y: &Labels) -> Result<LossValue>;
}

impl<L: Loss + ?Sized> OfBatch for L {
    fn of_batch(&self, x: &Tensor, y: &Labels) -> Result<LossValue> {
        self.forward(&Batch::new(x, y)?)
    }
}

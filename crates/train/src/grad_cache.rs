use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use npair_backbones::{EmbeddingModel, Mode};
use npair_nn::backward;
use std::ops::Range;

/// GradCache: the gradients of a large batch in the memory of a small one.
///
/// ```text
/// 1. every piece of the batch is embedded, and nothing but the embeddings E is kept
/// 2. the loss L(E) and its gradient dL/dE are taken once
/// 3. every piece is embedded again, now with a tape, and dL/dE of its rows is led back into the network
/// ```
/// A network passes the gradient of a row on by itself, so the sum over the pieces is the gradient of the whole batch; the
/// loss still sees all of its pairs. The network's forward passes are taken twice.
///
/// # Gradient
/// That of the whole batch up to the order of sums, dropout included: a row drops what it would drop in the whole batch (see
/// [`Mode::from_row`]). Batch norm is the exception, unless it is frozen: its statistics are those of a piece, as they would be
/// of a small batch, and its running statistics move once for every piece, in the third part alone.
///
/// # Source
/// Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021 (arXiv 2101.06983).
///
/// # Examples
/// ```
/// # use npair_train::GradCache;
/// let pieces: Vec<_> = GradCache::new(64)?.pieces(150).collect();
/// assert_eq!(pieces, [0..64, 64..128, 128..150]);
/// # Ok::<(), npair_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GradCache {
    piece: usize,
}

impl GradCache {
    /// With pieces of at most `piece` examples.
    ///
    /// # Errors
    /// [`Error::Setting`] for pieces of none.
    pub fn new(piece: usize) -> Result<Self> {
        if piece == 0 {
            let why = "a piece of a batch has at least 1 example".to_owned();
            return Err(Error::Setting { setting: "training.grad_cache", why });
        }
        Ok(Self { piece })
    }

    /// The rows of every piece of a batch.
    pub fn pieces(self, batch: usize) -> impl Iterator<Item = Range<usize>> {
        (0..batch).step_by(self.piece).map(move |from| from..(from + self.piece).min(batch))
    }

    /// The gradients of a batch of `batch` examples.
    ///
    /// `inputs` gives the examples of a piece: it is asked for all pieces in order, and then once more. `loss` gives the
    /// scalar to differentiate for the embeddings (B, D), and whatever the caller wants to know of it, which is returned.
    /// `take` gets gradients to be added up: those of the loss's own variables first, then the network's of every piece.
    ///
    /// # Errors
    /// Those of the network and of the three.
    pub fn gradients<T>(
        self,
        model: &dyn EmbeddingModel,
        (mode, batch): (&Mode, usize),
        mut inputs: impl FnMut(Range<usize>) -> Result<Tensor>,
        loss: impl FnOnce(&Tensor) -> Result<(Tensor, T)>,
        mut take: impl FnMut(&GradStore) -> Result<()>,
    ) -> Result<T> {
        let embeddings = Var::from_tensor(&self.embed(model, (mode, batch), &mut inputs)?)?;
        let (scalar, told) = loss(embeddings.as_tensor())?;
        let grads = backward(&scalar)?;
        take(&grads)?;
        // No gradient at all is one of zeros: a loss may be constant.
        let by_row = grads.get(&embeddings).cloned().map_or_else(|| embeddings.zeros_like(), Ok)?.detach();
        drop((scalar, grads));
        for rows in self.pieces(batch) {
            let by_row = by_row.narrow(0, rows.start, rows.len())?;
            let again = model.forward(&inputs(rows.clone())?, &mode.from_row(rows.start))?;
            take(&backward(&(again * by_row)?.sum_all()?)?)?;
        }
        Ok(told)
    }

    /// The embeddings of all pieces (B, D), of which nothing else is kept.
    fn embed(
        self,
        model: &dyn EmbeddingModel,
        (mode, batch): (&Mode, usize),
        inputs: &mut impl FnMut(Range<usize>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        // One block from the first piece on: small ones that outlive a piece would lie between the large ones that it frees.
        let mut whole: Option<Tensor> = None;
        for rows in self.pieces(batch) {
            let start = rows.start;
            let part = model.forward_no_grad(&inputs(rows)?, &mode.from_row(start))?.contiguous()?;
            let whole = match &whole {
                Some(whole) => whole,
                None => whole.insert(Tensor::zeros((batch, part.dim(1)?), part.dtype(), part.device())?),
            };
            whole.slice_set(&part, 0, start)?;
        }
        whole.ok_or(Error::Setting { setting: "batch", why: "has no examples".to_owned() })
    }
}

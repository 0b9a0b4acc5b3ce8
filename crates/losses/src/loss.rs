use crate::rows::pick;
use crate::{Error, GalleryLoss, Result};
use candle_core::{Tensor, Var};
use npair_types::{Labels, Pairs, Triplets};

/// A loss and what it was taken over.
#[derive(Debug, Clone)]
pub struct LossValue {
    /// The scalar, the mean over the terms; backward starts here.
    pub value: Tensor,
    /// Number of terms in the mean.
    pub terms: usize,
    /// Terms with a gradient: fewer than `terms` where a hinge is satisfied. At 0 the batch has nothing to teach. A loss with
    /// hinges reads their number from a device, which it waits for.
    pub active: usize,
}

impl LossValue {
    /// A mean of terms that all have a gradient.
    pub(crate) fn smooth(value: Tensor, terms: usize) -> Self {
        Self { value, terms, active: terms }
    }

    /// The mean of hinged terms, where 0 means satisfied.
    pub(crate) fn hinged(terms: &Tensor) -> Result<Self> {
        let active =
            terms.detach().gt(0f64)?.to_dtype(candle_core::DType::F32)?.sum_all()?.to_scalar::<f32>()? as usize;
        Ok(Self { value: terms.mean_all()?, terms: terms.elem_count(), active })
    }

    /// The value as a number.
    ///
    /// # Errors
    /// Those of candle when the value is fetched.
    pub fn to_f64(&self) -> Result<f64> {
        Ok(self.value.detach().to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?)
    }
}

/// A loss of a labelled batch.
pub trait Loss: Send + Sync {
    /// The loss of `embeddings` (B, D), f32 or f64, whose rows have `labels` (B).
    ///
    /// # Errors
    /// If shapes and labels do not fit the loss, or an embedding is not finite.
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue>;

    /// The loss's own trainable variables, by name.
    fn variables(&self) -> Vec<(String, Var)> {
        Vec::new()
    }

    /// The same loss for batches that are compared with a memory, if its terms belong to queries.
    fn as_gallery_loss(&self) -> Option<&dyn GalleryLoss> {
        None
    }
}

/// A loss of N pairs: anchors and positives are (N, D), row i of both from class i, no two rows of one class.
pub trait PairLoss: Send + Sync {
    /// The loss of N anchors and their positives.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ, [`Error::TooFew`] if N < 2, a similarity error with the first row that is
    /// not finite.
    fn of_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue>;

    /// The loss of pairs of rows of one batch (B, D).
    ///
    /// # Errors
    /// As [`of_pairs`](Self::of_pairs).
    fn of_pairs_in(&self, embeddings: &Tensor, pairs: &Pairs) -> Result<LossValue> {
        self.of_pairs(&pick(embeddings, pairs.anchors())?, &pick(embeddings, pairs.positives())?)
    }
}

/// A loss of triplets: three tensors (T, D); row i of anchors and positives from one class, of negatives from another.
pub trait TripletLoss: Send + Sync {
    /// The loss of T triplets.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ or there is no row.
    fn of_triplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue>;

    /// The loss of triplets of rows of one batch (B, D).
    ///
    /// # Errors
    /// As [`of_triplets`](Self::of_triplets).
    fn of_triplets_in(&self, embeddings: &Tensor, t: &Triplets) -> Result<LossValue> {
        let [a, p, n] = [t.anchors(), t.positives(), t.negatives()].map(|rows| pick(embeddings, rows));
        self.of_triplets(&a?, &p?, &n?)
    }
}

/// Every loss of N pairs is a loss of a batch that holds exactly two rows of every class.
macro_rules! loss_of_pairs {
    ($loss:ty $(, $gallery:ident)?) => {
        impl $crate::Loss for $loss {
            fn forward(
                &self,
                embeddings: &candle_core::Tensor,
                labels: &npair_types::Labels,
            ) -> $crate::Result<$crate::LossValue> {
                labels.expect_len($crate::rows::expect_matrix("embeddings", embeddings)?.0)?;
                self.of_pairs_in(embeddings, &npair_types::Pairs::from_labels(labels)?)
            }

            $(fn as_gallery_loss(&self) -> Option<&dyn $crate::$gallery> {
                Some(self)
            })?
        }
    };
}

/// Every loss of triplets is one of a batch of pairs, with the triplets that the paper forms of them.
macro_rules! loss_of_triplets {
    ($loss:ty) => {
        impl $crate::Loss for $loss {
            fn forward(
                &self,
                embeddings: &candle_core::Tensor,
                labels: &npair_types::Labels,
            ) -> $crate::Result<$crate::LossValue> {
                labels.expect_len($crate::rows::expect_matrix("embeddings", embeddings)?.0)?;
                let pairs = npair_types::Pairs::from_labels(labels)?;
                self.of_triplets_in(embeddings, &npair_types::Triplets::from_pairs(&pairs)?)
            }
        }
    };
}

/// The loss in the embeddings' type if that is f32 or f64, else in f64: what `of::<T>` says.
macro_rules! by_element {
    ($loss:expr, $gallery:expr) => {
        match $gallery.queries().dtype() {
            candle_core::DType::F32 => $loss.of::<f32>($gallery),
            candle_core::DType::F64 => $loss.of::<f64>($gallery),
            other => {
                let wide = $loss.of::<f64>(&$gallery.map(|rows| Ok(rows.to_dtype(candle_core::DType::F64)?))?)?;
                Ok($crate::LossValue { value: wide.value.to_dtype(other)?, ..wide })
            }
        }
    };
}

/// A loss of labelled batches alone that is worked out in the embeddings' type, by `of::<T>`.
macro_rules! loss_of_element {
    ($loss:ty) => {
        impl $crate::Loss for $loss {
            fn forward(
                &self,
                embeddings: &candle_core::Tensor,
                labels: &npair_types::Labels,
            ) -> $crate::Result<$crate::LossValue> {
                $crate::loss::by_element!(self, &$crate::Gallery::of(embeddings, labels)?)
            }
        }
    };
}

pub(crate) use {by_element, loss_of_element, loss_of_pairs, loss_of_triplets};

/// (N, D) of a list of pairs; N >= 2.
pub(crate) fn expect_pairs(loss: &'static str, anchors: &Tensor, positives: &Tensor) -> Result<usize> {
    let (n, _) = crate::rows::expect_matrix("anchors", anchors)?;
    crate::rows::expect_like("positives", positives, "anchors", anchors)?;
    if n < 2 {
        return Err(Error::TooFew { loss, what: "pairs of different classes", least: 2, got: n });
    }
    Ok(n)
}

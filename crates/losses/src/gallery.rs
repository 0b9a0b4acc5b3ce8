use crate::positives::Classes;
use crate::rows::expect_matrix;
use crate::{Error, Loss, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Element, Mask, Rows};
use npair_types::Labels;

/// What the rows of a batch are compared with: each other, and the rows of a memory.
///
/// The batch's rows are the queries and the first rows of the gallery; the memory's follow, without a gradient. A query never
/// meets itself.
///
/// # Shapes
/// Queries: (B, D) with their labels (B). Memory: (M, D) with its labels (M). The gallery has G = B + M rows.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Gallery, GalleryLoss, MultiPositiveNPair};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [1., 0.]], &Device::Cpu)?;
/// let memory = Tensor::new(&[[0f64, 3.], [0., 2.]], &Device::Cpu)?;
/// let gallery = Gallery::of(&x, &Labels::new([1, 1])?)?.with_memory(&memory, &Labels::new([2, 3])?)?;
/// // Inner product 1 with the positive, 0 with two negatives that only the memory has.
/// let loss = MultiPositiveNPair.against(&gallery)?;
/// assert!((loss.to_f64()? - (2. * (-1f64).exp()).ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gallery {
    queries: Tensor,
    memory: Option<Tensor>,
    of_queries: Labels,
    /// Those of the queries, then those of the memory.
    labels: Labels,
}

impl Gallery {
    /// A batch and nothing else.
    ///
    /// # Errors
    /// [`Error::Shape`] if the embeddings are no matrix, an error of the labels if they are not one per row.
    pub fn of(embeddings: &Tensor, labels: &Labels) -> Result<Self> {
        labels.expect_len(expect_matrix("embeddings", embeddings)?.0)?;
        Ok(Self { queries: embeddings.clone(), memory: None, of_queries: labels.clone(), labels: labels.clone() })
    }

    /// The batch, and the rows of a memory in the place of any that it had.
    ///
    /// # Errors
    /// [`Error::Shape`] if the memory's width is another, a similarity error if its number type is, an error of the labels if
    /// they are not one per row.
    pub fn with_memory(self, rows: &Tensor, labels: &Labels) -> Result<Self> {
        let (m, width) = expect_matrix("memory", rows)?;
        labels.expect_len(m)?;
        let d = self.queries.dim(1)?;
        if width != d {
            return Err(Error::Shape {
                what: "memory",
                got: vec![m, width],
                want: format!("(M, {d}) as the embeddings"),
            });
        }
        if rows.dtype() != self.queries.dtype() {
            let dtype = format!("{:?} with {:?} embeddings", rows.dtype(), self.queries.dtype());
            return Err(npair_similarity::Error::DType { what: "a memory", dtype }.into());
        }
        let all = [self.of_queries.as_slice(), labels.as_slice()].concat();
        Ok(Self { memory: Some(rows.detach()), labels: Labels::from_ids(all)?, ..self })
    }

    /// The queries (B, D).
    pub fn queries(&self) -> &Tensor {
        &self.queries
    }

    /// The rows of the memory (M, D), if there is one.
    pub fn memory(&self) -> Option<&Tensor> {
        self.memory.as_ref()
    }

    /// Classes of the queries (B).
    pub fn of_queries(&self) -> &Labels {
        &self.of_queries
    }

    /// Classes of all rows (G).
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// All rows (G, D).
    ///
    /// # Errors
    /// Those of candle.
    pub fn rows(&self) -> Result<Tensor> {
        match &self.memory {
            None => Ok(self.queries.clone()),
            Some(memory) => Ok(Tensor::cat(&[&self.queries, memory], 0)?),
        }
    }

    /// All rows of every class, the queries first.
    pub(crate) fn classes(&self) -> Classes {
        Classes::new(&self.labels)
    }

    /// All rows as plain numbers; an error names the first that is not finite.
    pub(crate) fn plain<T: Element>(&self) -> Result<PlainRows<T>> {
        let width = self.queries.dim(1)?;
        let mut values = self.queries.flatten_all()?.to_vec1::<T>()?;
        Rows::new(&values, width)?;
        if let Some(memory) = &self.memory {
            let memory = memory.flatten_all()?.to_vec1::<T>()?;
            Rows::new(&memory, width).map_err(|why| match why {
                npair_similarity::Error::NotFinite { row, .. } => {
                    npair_similarity::Error::NotFinite { side: "memory", row }
                }
                other => other,
            })?;
            values.extend(memory);
        }
        Ok(PlainRows { values, width })
    }

    /// The same with rows that `f` makes of them, each by itself.
    pub(crate) fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let memory = self.memory.as_ref().map(&f).transpose()?;
        Ok(Self { queries: f(&self.queries)?, memory, ..self.clone() })
    }

    /// Queries and rows of one class, but no query with itself.
    pub(crate) fn is_positive(&self) -> Mask {
        Mask::SameClassOffDiagonal(self.of_queries.as_slice().into(), self.labels.as_slice().into())
    }

    /// Queries and rows of two classes.
    pub(crate) fn is_negative(&self) -> Mask {
        Mask::other_class(&self.of_queries, &self.labels)
    }

    /// The queries that have a positive.
    pub(crate) fn with_a_positive(&self, loss: &'static str) -> Result<Vec<usize>> {
        let classes = self.classes();
        let rows: Vec<usize> = (0..self.of_queries.len()).filter(|&i| classes.of(i).len() > 1).collect();
        if rows.is_empty() {
            return Err(Error::TooFew { loss, what: "examples of one class", least: 2, got: 1 });
        }
        Ok(rows)
    }

    /// The queries that have a positive, where there are negatives. An error names what is missing.
    pub(crate) fn with_both(&self, loss: &'static str) -> Result<Vec<usize>> {
        let rows = self.with_a_positive(loss)?;
        let classes = self.labels.classes().len();
        if classes < 2 {
            return Err(Error::TooFew { loss, what: "classes", least: 2, got: classes });
        }
        Ok(rows)
    }

    /// An error for a single row: there is nothing that it could be compared with.
    pub(crate) fn expect_two(&self, loss: &'static str) -> Result<()> {
        let got = self.labels.len();
        if got < 2 {
            return Err(Error::TooFew { loss, what: "examples", least: 2, got });
        }
        Ok(())
    }
}

/// Rows as plain numbers, all finite.
pub(crate) struct PlainRows<T> {
    values: Vec<T>,
    width: usize,
}

impl<T: Element> PlainRows<T> {
    pub(crate) fn rows(&self) -> Rows<'_, T> {
        Rows::trusted(&self.values, self.width)
    }
}

/// A loss whose terms each belong to a query, so that the query can be compared with rows of a memory too.
///
/// The loss of a batch alone is that of a [`Gallery`] without a memory. With one, it is what the loss of all G rows would
/// be, had it only the terms of the first B rows, with the others as constants.
pub trait GalleryLoss: Loss {
    /// The loss of the queries against the gallery.
    ///
    /// # Errors
    /// As [`Loss::forward`]; a row counts as one of the batch.
    fn against(&self, gallery: &Gallery) -> Result<LossValue>;
}

/// Every loss against a gallery is a loss of a batch: the gallery without a memory.
macro_rules! loss_of_gallery {
    ($loss:ty) => {
        impl $crate::Loss for $loss {
            fn forward(
                &self,
                embeddings: &candle_core::Tensor,
                labels: &npair_types::Labels,
            ) -> $crate::Result<$crate::LossValue> {
                $crate::GalleryLoss::against(self, &$crate::Gallery::of(embeddings, labels)?)
            }

            fn as_gallery_loss(&self) -> Option<&dyn $crate::GalleryLoss> {
                Some(self)
            }
        }
    };
}

/// A loss against a gallery that is worked out in the embeddings' type, by `of::<T>`.
macro_rules! gallery_loss_of_element {
    ($loss:ty) => {
        impl $crate::GalleryLoss for $loss {
            fn against(&self, gallery: &$crate::Gallery) -> $crate::Result<$crate::LossValue> {
                $crate::loss::by_element!(self, gallery)
            }
        }

        $crate::gallery::loss_of_gallery!($loss);
    };
}

pub(crate) use {gallery_loss_of_element, loss_of_gallery};

use crate::row::Classes;
use crate::rows::{accept, expect_matrix};
use crate::{Accepts, Error, Loss, Result};
use candle_core::Tensor;
use npair_similarity::{Element, Mask, Rows};
use npair_types::{Labels, PairList, Pairs, Triplets, TupleKind, Tuples};
use std::borrow::Cow;

/// A batch as a loss sees it: embeddings and their labels, the tuples that they form, and further rows to compare them with.
///
/// The batch's rows are the queries, and the first of all rows that a query meets; those of the reference (a memory) follow,
/// without a gradient. A query never meets itself.
///
/// # Shapes
/// Embeddings: (B, D) with their labels (B). Reference: (M, D) with its labels (M). All rows: G = B + M.
///
/// # Numerics
/// One rule for number types: f32 and f64 are taken as they are; f16 and bf16 are widened to f32, in which the loss is computed
/// and its value comes back, while the gradient comes back in their type; whole numbers are refused. Views are taken as other
/// tensors are. On the CPU a NaN or an infinity is refused by its row; on a device nobody looks, which would wait for it.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, MultiPositiveNPair};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [1., 0.]], &Device::Cpu)?;
/// let memory = Tensor::new(&[[0f64, 3.], [0., 2.]], &Device::Cpu)?;
/// let batch = Batch::new(&x, &Labels::new([1, 1])?)?.with_reference(&memory, &Labels::new([2, 3])?)?;
/// // Inner product 1 with the positive, 0 with two negatives that only the memory has.
/// let loss = MultiPositiveNPair.forward(&batch)?;
/// assert!((loss.to_f64()? - (2. * (-1f64).exp()).ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    embeddings: Tensor,
    labels: Labels,
    tuples: Tuples,
    chosen: bool,
    reference: Option<Tensor>,
    /// Labels of the batch, then those of the reference.
    all: Labels,
}

impl Batch {
    /// A batch and nothing else.
    ///
    /// # Errors
    /// [`Error::Shape`] if the embeddings are no matrix, [`Error::DType`] if they are whole numbers, a similarity error with the
    /// first row that is not finite, an error of the labels if they are not one per row.
    pub fn new(embeddings: &Tensor, labels: &Labels) -> Result<Self> {
        labels.expect_len(expect_matrix("embeddings", embeddings)?.0)?;
        let embeddings = accept("embeddings", embeddings)?;
        let (all, labels) = (labels.clone(), labels.clone());
        Ok(Self { embeddings, labels, tuples: Tuples::Labeled, chosen: false, reference: None, all })
    }

    /// The batch with tuples chosen from it, by a miner or by hand: a loss uses them, or refuses the batch.
    ///
    /// # Errors
    /// An error of the tuples if they are not of these labels.
    pub fn with_tuples(self, tuples: Tuples) -> Result<Self> {
        tuples.check(&self.labels)?;
        let chosen = tuples != Tuples::Labeled;
        Ok(Self { tuples, chosen, ..self })
    }

    /// The batch with the tuples that its sampler formed: a loss of such tuples uses them, and all others go by the labels.
    ///
    /// # Errors
    /// As [`with_tuples`](Self::with_tuples).
    pub fn with_sampled(self, tuples: Tuples) -> Result<Self> {
        Ok(Self { chosen: false, ..self.with_tuples(tuples)? })
    }

    /// The batch, and further rows to meet in the place of any that it had.
    ///
    /// # Errors
    /// [`Error::Shape`] if their width is another, a similarity error if their number type is or one is not finite, an error of
    /// the labels if they are not one per row.
    pub fn with_reference(self, rows: &Tensor, labels: &Labels) -> Result<Self> {
        let (m, width) = expect_matrix("memory", rows)?;
        labels.expect_len(m)?;
        let d = self.embeddings.dim(1)?;
        if width != d {
            let want = format!("(M, {d}) as the embeddings");
            return Err(Error::Shape { what: "memory", got: vec![m, width], want });
        }
        let rows = accept("memory", &rows.detach())?;
        if rows.dtype() != self.embeddings.dtype() {
            let dtype = format!("{:?} with {:?} embeddings", rows.dtype(), self.embeddings.dtype());
            return Err(npair_similarity::Error::DType { what: "a memory", dtype }.into());
        }
        let all = Labels::from_ids([self.labels.as_slice(), labels.as_slice()].concat())?;
        Ok(Self { reference: Some(rows), all, ..self })
    }

    /// The batch without its reference.
    pub fn alone(&self) -> Self {
        Self { reference: None, all: self.labels.clone(), ..self.clone() }
    }

    /// The embeddings (B, D), f32 or f64.
    pub fn embeddings(&self) -> &Tensor {
        &self.embeddings
    }

    /// Classes of the embeddings (B).
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The tuples that the rows form.
    pub fn tuples(&self) -> &Tuples {
        &self.tuples
    }

    /// The tuples if they were chosen, so that the loss is of them and nothing else.
    pub fn chosen(&self) -> Option<&Tuples> {
        self.chosen.then_some(&self.tuples)
    }

    /// The rows of the reference (M, D), if there is one.
    pub fn reference(&self) -> Option<&Tensor> {
        self.reference.as_ref()
    }

    /// Classes of all rows (G).
    pub fn all_labels(&self) -> &Labels {
        &self.all
    }

    /// All rows (G, D).
    ///
    /// # Errors
    /// Those of candle.
    pub fn all_rows(&self) -> Result<Tensor> {
        match &self.reference {
            None => Ok(self.embeddings.clone()),
            Some(rows) => Ok(Tensor::cat(&[&self.embeddings, rows], 0)?),
        }
    }

    /// Queries and rows of one class, but no query with itself: (B, G).
    pub fn positives(&self) -> Mask {
        Mask::SameClassOffDiagonal(self.labels.as_slice().into(), self.all.as_slice().into())
    }

    /// Queries and rows of two classes: (B, G).
    pub fn negatives(&self) -> Mask {
        Mask::other_class(&self.labels, &self.all)
    }

    /// An error unless the loss uses the tuples that were chosen and meets the reference, if there are any: for the first line of
    /// a loss, so that nothing is passed over in silence.
    ///
    /// # Errors
    /// [`Error::Unfit`].
    pub fn check(&self, loss: &(impl Loss + ?Sized)) -> Result<()> {
        self.check_accepts(loss.name(), loss.accepts())
    }

    pub(crate) fn check_accepts(&self, loss: &str, accepts: Accepts) -> Result<()> {
        let miner = self.chosen.then(|| self.tuples.kind());
        let sampler = if self.chosen { TupleKind::Labeled } else { self.tuples.kind() };
        let fits = match (miner, sampler) {
            // A batch of labels may be one of pairs or of tuplets: that is seen where they are formed.
            (None, TupleKind::Labeled) if self.reference.is_none() => Ok(()),
            _ => accepts.check(sampler, miner, self.reference.is_some()),
        };
        fits.map_err(|why| Error::Unfit { loss: loss.to_owned(), why })
    }

    /// The N pairs of the batch: the sampler's, or those of two rows of every class.
    pub(crate) fn pairs(&self) -> Result<Cow<'_, Pairs>> {
        Ok(match &self.tuples {
            Tuples::Pairs(pairs) => Cow::Borrowed(pairs),
            _ => Cow::Owned(Pairs::from_labels(&self.labels)?),
        })
    }

    /// The triplets of the batch: the sampler's, a miner's, or those that the paper makes of pairs. Nothing if a miner's pairs
    /// give none.
    pub(crate) fn triplets(&self) -> Result<Option<Cow<'_, Triplets>>> {
        Ok(Some(match &self.tuples {
            Tuples::Triplets(triplets) => Cow::Borrowed(triplets),
            Tuples::PairList(list) if self.chosen => return Ok(Triplets::from_pair_list(list).map(Cow::Owned)),
            _ => Cow::Owned(Triplets::from_pairs(self.pairs()?.as_ref())?),
        }))
    }

    /// The pairs that a miner chose, those of its triplets each once; none if the loss is of labels.
    pub(crate) fn listed(&self) -> Option<Cow<'_, PairList>> {
        match self.chosen()? {
            Tuples::PairList(list) => Some(Cow::Borrowed(list)),
            Tuples::Triplets(triplets) => Some(Cow::Owned(PairList::from_triplets(triplets))),
            _ => None,
        }
    }

    /// All rows of every class, the queries first.
    pub(crate) fn classes(&self) -> Classes {
        Classes::new(&self.all)
    }

    /// All rows as plain numbers; an error names the first that is not finite.
    pub(crate) fn plain<T: Element>(&self) -> Result<PlainRows<T>> {
        let width = self.embeddings.dim(1)?;
        let mut values = self.embeddings.flatten_all()?.to_vec1::<T>()?;
        Rows::new(&values, width)?;
        if let Some(reference) = &self.reference {
            let reference = reference.flatten_all()?.to_vec1::<T>()?;
            Rows::new(&reference, width).map_err(|why| match why {
                npair_similarity::Error::NotFinite { row, .. } => {
                    npair_similarity::Error::NotFinite { side: "memory", row }
                }
                other => other,
            })?;
            values.extend(reference);
        }
        Ok(PlainRows { values, width })
    }

    /// The same with rows that `f` makes of them, each by itself.
    pub(crate) fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let reference = self.reference.as_ref().map(&f).transpose()?;
        Ok(Self { embeddings: f(&self.embeddings)?, reference, ..self.clone() })
    }

    /// The queries that have a positive. An error if there is none.
    pub(crate) fn with_a_positive(&self, loss: &str) -> Result<Vec<usize>> {
        let classes = self.classes();
        let rows: Vec<usize> = (0..self.labels.len()).filter(|&i| classes.of(i).len() > 1).collect();
        if rows.is_empty() {
            return Err(Error::too_few(loss, "examples of one class", 2, 1));
        }
        Ok(rows)
    }

    /// The queries that have a positive, where there are negatives. An error names what is missing.
    pub(crate) fn with_both(&self, loss: &str) -> Result<Vec<usize>> {
        let rows = self.with_a_positive(loss)?;
        let classes = self.all.classes().len();
        if classes < 2 {
            return Err(Error::too_few(loss, "classes", 2, classes));
        }
        Ok(rows)
    }

    /// An error for a single row: there is nothing that it could be compared with.
    pub(crate) fn expect_two(&self, loss: &str) -> Result<()> {
        match self.all.len() {
            got if got < 2 => Err(Error::too_few(loss, "examples", 2, got)),
            _ => Ok(()),
        }
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

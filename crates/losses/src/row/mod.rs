//! The matrix of a batch, row by row: what most losses of pairs and rankings are worked out on.

mod hinges;
mod matrix;
mod products;
mod reducer;
mod relations;

pub(crate) use hinges::Hinges;
pub use matrix::Entry;
pub(crate) use matrix::{RowMatrix, log_sum_exp, sigmoid, softplus};
pub(crate) use products::{Anchor, Lengths, mean_over_anchors, of_products};
pub use reducer::{Band, Reducer};
pub(crate) use relations::{Classes, Relations};
pub use relations::{Needs, Row};

use crate::{Accepts, Batch, Loss, LossValue, Result};
use candle_core::DType;
use npair_similarity::Element;

/// A loss whose terms belong to the rows of the matrix of a batch: every query against all rows that it meets.
///
/// It looks at one row at a time and says the row's terms and their gradient by the row's entries. All else follows: it is a
/// [`Loss`], its rows run on all threads, it works in f32 and in f64, takes the lists of a miner, meets a memory, and its gradient
/// reaches the embeddings through their normalization.
///
/// # Numerics
/// B G entries are kept, of the embeddings' type; sums over rows are taken in f64 and in their order, so that no bit depends on
/// the number of threads.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Var};
/// use npair_losses::{Batch, Entry, Loss, Row, RowLoss, RowTerms};
/// use npair_similarity::Element;
/// # use npair_types::Labels;
///
/// /// The mean over rows of `sum_n c_in - sum_p c_ip`.
/// struct Pull;
///
/// impl RowLoss for Pull {
///     const NAME: &'static str = "pull";
///     const ENTRY: Entry = Entry::Cosine;
///
///     fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
///         row.positives().for_each(|p| gradient[p] = T::narrow(-1.));
///         row.negatives().for_each(|n| gradient[n] = T::ONE);
///         RowTerms::one(row.entries().iter().zip(gradient).map(|(c, by)| (*c * *by).wide()).sum())
///     }
/// }
///
/// let x = Var::new(&[[1f64, 0.], [2., 0.], [0., 4.]], &Device::Cpu)?;
/// let loss = Pull.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
/// assert_eq!((loss.to_f64()?, loss.terms), (-1., 2)); // the positive at 1, the negative at 0; row 2 has no positive
/// // Rows 0 and 1 meet row 2: (1, 0) and (1, 0), halved for the mean, and 1/4 for its length.
/// let gradient = loss.value.backward()?.get(&x).unwrap().to_vec2::<f64>()?;
/// assert_eq!(gradient[2], [0.25, 0.]);
/// # Ok::<(), npair_losses::Error>(())
/// ```
pub trait RowLoss: Send + Sync {
    /// The loss's name in errors.
    const NAME: &'static str;
    /// The entries of the matrix.
    const ENTRY: Entry;
    /// The others that a row has to have for a term; rows without are passed over.
    const NEEDS: Needs = Needs::Both;
    /// Whether the loss makes sense of a miner's choice of positives and negatives. A loss of whole rankings does not.
    const LISTS: bool = true;

    /// The terms of a row, and their gradient by its entries, written over zeros. A term of several rows' entries is no term of a
    /// row.
    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms;

    /// How the terms of all rows become one number: by default their mean.
    fn reducer(&self) -> Reducer {
        Reducer::Mean
    }
}

/// The terms of one row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowTerms {
    /// Sum of those that the reducer keeps.
    pub sum: f64,
    /// Number of all.
    pub terms: usize,
    /// Number of those with a gradient.
    pub active: usize,
}

impl RowTerms {
    /// One term, with a gradient.
    pub fn one(term: f64) -> Self {
        Self { sum: term, terms: 1, active: 1 }
    }

    /// One term, which has a gradient if it is above 0.
    pub fn hinged(term: f64) -> Self {
        Self { sum: term, terms: 1, active: usize::from(term > 0.) }
    }

    /// The terms of both.
    pub fn join(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, terms: self.terms + other.terms, active: self.active + other.active }
    }

    pub(crate) fn total(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, &terms| sum.join(terms))
    }
}

impl<L: RowLoss> Loss for L {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_rows(self, batch)
    }

    fn accepts(&self) -> Accepts {
        let accepts = if L::LISTS { Accepts::lists() } else { Accepts::labels() };
        accepts.with_reference()
    }

    fn name(&self) -> &str {
        L::NAME
    }
}

/// A loss of the whole matrix, at which it may look more than once; each says how it is a [`Loss`].
pub(crate) trait MatrixLoss {
    const NAME: &'static str;
    const ENTRY: Entry;
    const NEEDS: Needs = Needs::Both;

    fn matrix<T: Element>(&self, matrix: RowMatrix<T>, relations: &Relations, batch: &Batch) -> Result<LossValue>;
}

/// The loss in the embeddings' number type.
pub(crate) fn of_matrix<L: MatrixLoss>(loss: &L, batch: &Batch) -> Result<LossValue> {
    fn run<L: MatrixLoss, T: Element>(loss: &L, batch: &Batch) -> Result<LossValue> {
        let relations = Relations::new(batch, L::NAME, L::NEEDS)?;
        loss.matrix(RowMatrix::<T>::new(batch, L::ENTRY)?, &relations, batch)
    }
    match batch.embeddings().dtype() {
        DType::F64 => run::<L, f64>(loss, batch),
        _ => run::<L, f32>(loss, batch),
    }
}

/// The driver of losses by rows.
pub(crate) fn of_rows<L: RowLoss>(loss: &L, batch: &Batch) -> Result<LossValue> {
    struct ByRow<'a, L>(&'a L);

    impl<L: RowLoss> MatrixLoss for ByRow<'_, L> {
        const NAME: &'static str = L::NAME;
        const ENTRY: Entry = L::ENTRY;
        const NEEDS: Needs = L::NEEDS;

        fn matrix<T: Element>(&self, matrix: RowMatrix<T>, relations: &Relations, batch: &Batch) -> Result<LossValue> {
            let (gradients, rows) = matrix.map_to_gradient(|i, entries, gradient| {
                let row = relations.row(i, entries);
                if row.has_term(L::NEEDS) { self.0.row(row, gradient) } else { RowTerms::default() }
            });
            let (value, factors) = self.0.reducer().reduce(&rows, batch.labels());
            let RowTerms { terms, active, .. } = RowTerms::total(&rows);
            Ok(LossValue::new(gradients.attach_by_row(batch.embeddings(), value, &factors)?, terms, active))
        }
    }

    of_matrix(&ByRow(loss), batch)
}

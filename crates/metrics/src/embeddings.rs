use crate::Result;
use candle_core::{DType, Tensor};
use npair_similarity::{Element, Rows};
use npair_types::Labels;

/// Embeddings to be judged, in f64 so that ranks are those of the exact similarities, with their labels.
///
/// ```
/// # use npair_metrics::Embeddings;
/// # use npair_types::Labels;
/// let set = Embeddings::new(&[0f32, 1., 2., 3.], 2, Labels::new([0, 1])?)?;
/// assert_eq!((set.len(), set.rows().row(1)), (2, &[2., 3.][..]));
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Embeddings {
    values: Vec<f64>,
    width: usize,
    labels: Labels,
}

impl Embeddings {
    /// Rows of `width` values, one after the other, with a label each.
    ///
    /// # Errors
    /// If the values are no whole number of rows, a row is not finite (it is named), or the number of labels differs.
    pub fn new<T: Element>(values: &[T], width: usize, labels: Labels) -> Result<Self> {
        labels.expect_len(Rows::new(values, width)?.len())?;
        Ok(Self { values: values.iter().map(|v| v.wide()).collect(), width, labels })
    }

    /// Rows of a tensor (B, D).
    ///
    /// # Errors
    /// As [`new`](Self::new), and candle's if it is no matrix.
    pub fn from_tensor(rows: &Tensor, labels: Labels) -> Result<Self> {
        let (_, width) = rows.dims2()?;
        Self::new(&rows.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?, width, labels)
    }

    /// Number of rows.
    #[allow(clippy::len_without_is_empty)] // never empty: labels are not
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The rows.
    pub fn rows(&self) -> Rows<'_, f64> {
        Rows::trusted(&self.values, self.width)
    }

    /// Their labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

use crate::Result;
use candle_core::{CpuStorage, DType, Tensor};
use npair_similarity::{Element, Rows};
use npair_types::Labels;
use std::borrow::Cow;
use std::ops::Range;

/// Embeddings to be judged, with their labels, in the type that they came in. Ranks are those of similarities in f64 for both.
///
/// ```
/// # use npair_metrics::Embeddings;
/// # use npair_types::Labels;
/// let set = Embeddings::new(&[0f32, 1., 2., 3.], 2, Labels::new([0, 1])?)?;
/// assert_eq!((set.len(), set.width(), set.wide()), (2, 2, vec![0f64, 1., 2., 3.].into()));
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Embeddings {
    values: Values,
    width: usize,
    labels: Labels,
}

#[derive(Debug, Clone)]
enum Values {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// Rows of either type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AnyRows<'a> {
    Single(Rows<'a, f32>),
    Double(Rows<'a, f64>),
}

impl Embeddings {
    /// Rows of `width` values, one after the other, with a label each.
    ///
    /// # Errors
    /// If the values are no whole number of rows, a row is not finite (it is named), or the number of labels differs.
    pub fn new<T: Element>(values: &[T], width: usize, labels: Labels) -> Result<Self> {
        Self::owned(values.to_vec(), width, labels)
    }

    /// The same of values that are given away: nothing is copied.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn owned<T: Element>(values: Vec<T>, width: usize, labels: Labels) -> Result<Self> {
        labels.expect_len(Rows::new(&values, width)?.len())?;
        let values = match T::into_storage(values) {
            CpuStorage::F32(values) => Values::Single(values),
            CpuStorage::F64(values) => Values::Double(values),
            // There is no third type.
            other => Values::Double(T::of_storage(&other).unwrap_or_default().iter().map(|v| v.wide()).collect()),
        };
        Ok(Self { values, width, labels })
    }

    /// Rows of a tensor (B, D): f32 and f64 as they are, f16 and bf16 widened to f32.
    ///
    /// # Errors
    /// As [`new`](Self::new), a similarity error if they are whole numbers, and candle's if it is no matrix.
    pub fn from_tensor(rows: &Tensor, labels: Labels) -> Result<Self> {
        let (_, width) = rows.dims2()?;
        let rows = rows.flatten_all()?;
        match rows.dtype() {
            DType::F64 => Self::owned(rows.to_vec1::<f64>()?, width, labels),
            DType::F32 | DType::F16 | DType::BF16 => {
                Self::owned(rows.to_dtype(DType::F32)?.to_vec1::<f32>()?, width, labels)
            }
            other => Err(npair_similarity::Error::DType { what: "embeddings", dtype: format!("{other:?}") }.into()),
        }
    }

    /// Chosen rows, under labels of their own.
    ///
    /// # Errors
    /// If the number of labels differs.
    ///
    /// # Panics
    /// If a row is not there, as for slices.
    pub fn select(&self, rows: &[usize], labels: Labels) -> Result<Self> {
        labels.expect_len(rows.len())?;
        fn of<T: Copy>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
            rows.iter().flat_map(|&i| &values[i * width..(i + 1) * width]).copied().collect()
        }
        let values = match &self.values {
            Values::Single(values) => Values::Single(of(values, self.width, rows)),
            Values::Double(values) => Values::Double(of(values, self.width, rows)),
        };
        Ok(Self { values, width: self.width, labels })
    }

    /// Number of rows.
    #[allow(clippy::len_without_is_empty)] // never empty: labels are not
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Values of a row (D).
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values in f64, one row after the other: a copy where they came as f32.
    pub fn wide(&self) -> Cow<'_, [f64]> {
        match &self.values {
            Values::Single(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Values::Double(values) => Cow::Borrowed(values),
        }
    }

    /// The values of some rows in f64.
    pub(crate) fn wide_part(&self, rows: Range<usize>) -> Cow<'_, [f64]> {
        let values = rows.start * self.width..rows.end * self.width;
        match &self.values {
            Values::Single(all) => all[values].iter().map(|&v| f64::from(v)).collect(),
            Values::Double(all) => Cow::Borrowed(&all[values]),
        }
    }

    /// Their labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn any_rows(&self) -> AnyRows<'_> {
        match &self.values {
            Values::Single(values) => AnyRows::Single(Rows::trusted(values, self.width)),
            Values::Double(values) => AnyRows::Double(Rows::trusted(values, self.width)),
        }
    }
}

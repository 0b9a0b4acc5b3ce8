use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Number of a class. Numbers need not be contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(pub u32);

/// Number of an example in its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExampleId(pub usize);

impl std::fmt::Display for ClassId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for ExampleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The class of every row of a batch, a gallery or a data set: at least one row.
///
/// ```
/// # use npair_types::{ClassId, Labels};
/// let labels = Labels::new([7, 7, 3])?;
/// assert_eq!(labels.len(), 3);
/// assert_eq!(labels.classes(), [ClassId(3), ClassId(7)]);
/// assert!(labels.same(0, 1) && !labels.same(0, 2));
/// # Ok::<(), npair_types::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Vec<ClassId>);

impl Labels {
    /// Labels from class numbers.
    ///
    /// # Errors
    /// [`Error::Empty`] if there are none.
    pub fn new(classes: impl IntoIterator<Item = u32>) -> Result<Self> {
        Self::from_ids(classes.into_iter().map(ClassId).collect())
    }

    /// Labels from class ids.
    ///
    /// # Errors
    /// [`Error::Empty`] if there are none.
    pub fn from_ids(ids: Vec<ClassId>) -> Result<Self> {
        if ids.is_empty() {
            return Err(Error::Empty { what: "a list of labels", least: 1 });
        }
        Ok(Self(ids))
    }

    /// Labels from signed numbers, as label files hold them.
    ///
    /// # Errors
    /// [`Error::Label`] with the first negative or too large entry, [`Error::Empty`] if there are none.
    pub fn from_i64(values: &[i64]) -> Result<Self> {
        let ids = values
            .iter()
            .enumerate()
            .map(|(at, &value)| u32::try_from(value).map(ClassId).map_err(|_| Error::Label { at, value }))
            .collect::<Result<Vec<_>>>()?;
        Self::from_ids(ids)
    }

    /// Number of rows.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Class of row `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn get(&self, i: usize) -> ClassId {
        self.0[i]
    }

    /// Classes of all rows.
    pub fn as_slice(&self) -> &[ClassId] {
        &self.0
    }

    /// Whether rows `i` and `j` are of one class.
    pub fn same(&self, i: usize, j: usize) -> bool {
        self.0[i] == self.0[j]
    }

    /// The distinct classes in ascending order.
    pub fn classes(&self) -> Vec<ClassId> {
        self.0.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Every row's place in [`classes`](Self::classes): numbers from 0 without gaps, and how many there are.
    pub fn compact(&self) -> (Vec<usize>, usize) {
        let classes = self.classes();
        let places = self.0.iter().map(|c| classes.partition_point(|d| d < c)).collect();
        (places, classes.len())
    }

    /// An error unless there are `rows` labels; `what` names the thing labeled.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn expect_len(&self, rows: usize) -> Result<()> {
        if self.len() != rows {
            return Err(Error::Length { what: "the list of labels", got: self.len(), want: rows });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_numbers_have_no_gaps() {
        let labels = Labels::new([9, 2, 9, 4_000_000_000]).unwrap();
        assert_eq!(labels.compact(), (vec![1, 0, 1, 2], 3));
    }

    #[test]
    fn negative_and_empty_are_refused() {
        assert_eq!(Labels::from_i64(&[1, -1]), Err(Error::Label { at: 1, value: -1 }));
        assert!(matches!(Labels::new([]), Err(Error::Empty { .. })));
        assert!(Labels::new([1]).unwrap().expect_len(2).unwrap_err().to_string().contains("1 entries, but 2"));
    }
}

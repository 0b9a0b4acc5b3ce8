use npair_types::{ClassId, Labels};
use std::sync::Arc;

/// Which entries of the matrix take part: a relation between row and column, worked out entry by entry from labels and
/// places, never a matrix of its own.
#[derive(Debug, Clone)]
pub enum Mask {
    /// Every entry.
    All,
    /// Every entry but (i, i).
    OffDiagonal,
    /// Row and column are of one class.
    SameClass(Arc<[ClassId]>, Arc<[ClassId]>),
    /// Row and column are of one class, and not at one place.
    SameClassOffDiagonal(Arc<[ClassId]>, Arc<[ClassId]>),
    /// Row and column are of two classes.
    OtherClass(Arc<[ClassId]>, Arc<[ClassId]>),
}

impl Mask {
    /// Row and column are of one class.
    pub fn same_class(rows: &Labels, columns: &Labels) -> Self {
        Self::SameClass(rows.as_slice().into(), columns.as_slice().into())
    }

    /// Row and column are of one class, and not the same example: for a batch against itself.
    pub fn positives(labels: &Labels) -> Self {
        let classes: Arc<[ClassId]> = labels.as_slice().into();
        Self::SameClassOffDiagonal(classes.clone(), classes)
    }

    /// Row and column are of two classes.
    pub fn other_class(rows: &Labels, columns: &Labels) -> Self {
        Self::OtherClass(rows.as_slice().into(), columns.as_slice().into())
    }

    /// Whether entry (`row`, `column`) takes part.
    #[inline]
    pub fn contains(&self, row: usize, column: usize) -> bool {
        match self {
            Self::All => true,
            Self::OffDiagonal => row != column,
            Self::SameClass(rows, columns) => rows[row] == columns[column],
            Self::SameClassOffDiagonal(rows, columns) => row != column && rows[row] == columns[column],
            Self::OtherClass(rows, columns) => rows[row] != columns[column],
        }
    }

    /// Puts minus infinity, whose exponential is 0, in the place of a row's entries that take no part: `line` is the whole row.
    pub fn hide<T: crate::Element>(&self, row: usize, line: &mut [T]) {
        let out = T::LOWEST;
        match self {
            Self::All => {}
            Self::OffDiagonal => {
                if let Some(v) = line.get_mut(row) {
                    *v = out;
                }
            }
            Self::SameClass(rows, columns) => {
                let class = rows[row];
                line.iter_mut().zip(columns.iter()).for_each(|(v, &c)| *v = if c == class { *v } else { out });
            }
            Self::SameClassOffDiagonal(rows, columns) => {
                let class = rows[row];
                line.iter_mut().zip(columns.iter()).for_each(|(v, &c)| *v = if c == class { *v } else { out });
                line[row] = out;
            }
            Self::OtherClass(rows, columns) => {
                let class = rows[row];
                line.iter_mut().zip(columns.iter()).for_each(|(v, &c)| *v = if c == class { out } else { *v });
            }
        }
    }

    /// The (rows, columns) the mask was made for, if it is bound to any.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        match self {
            Self::All | Self::OffDiagonal => None,
            Self::SameClass(r, c) | Self::SameClassOffDiagonal(r, c) | Self::OtherClass(r, c) => {
                Some((r.len(), c.len()))
            }
        }
    }
}

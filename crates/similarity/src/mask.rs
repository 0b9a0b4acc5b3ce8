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
        self.hide_part(row, 0, line);
    }

    /// The same of a part of the row, from column `first` on.
    pub(crate) fn hide_part<T: crate::Element>(&self, row: usize, first: usize, line: &mut [T]) {
        match self {
            Self::All => {}
            Self::OffDiagonal => hide_one(row, first, line),
            Self::SameClass(rows, columns) => hide_classes(line, &columns[first..], rows[row], false),
            Self::SameClassOffDiagonal(rows, columns) => {
                hide_classes(line, &columns[first..], rows[row], false);
                hide_one(row, first, line);
            }
            Self::OtherClass(rows, columns) => hide_classes(line, &columns[first..], rows[row], true),
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

fn hide_one<T: crate::Element>(column: usize, first: usize, line: &mut [T]) {
    if let Some(v) = column.checked_sub(first).and_then(|at| line.get_mut(at)) {
        *v = T::NEG_INFINITY;
    }
}

npair_simd::vectorised! {
    /// Hides the entries whose column is of `class`, or the others.
    fn hide_classes<T: crate::Element>(line: &mut [T], columns: &[ClassId], class: ClassId, same: bool) {
        for (v, &c) in line.iter_mut().zip(columns) {
            *v = if (c == class) == same { T::NEG_INFINITY } else { *v };
        }
    }
}

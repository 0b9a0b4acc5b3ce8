use crate::Element;

/// A matrix in a slice: `rows x cols` with steps between rows and columns.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<'a, T> View<'a, T> {
    /// `rows x cols`, one row after the other.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols);
        Self { data, rows, cols, row_step: cols, col_step: 1 }
    }

    /// Columns `columns` of rows that are `width` long.
    pub(crate) fn columns(data: &'a [T], width: usize, columns: std::ops::Range<usize>) -> Self {
        assert!(data.len().is_multiple_of(width) && columns.start < columns.end && columns.end <= width);
        let Some(data_from) = data.get(columns.start..) else { return Self::new(&[], 0, columns.len()) };
        Self { data: data_from, rows: data.len() / width, cols: columns.len(), row_step: width, col_step: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        let Self { data, rows, cols, row_step, col_step } = self;
        Self { data, rows: cols, cols: rows, row_step: col_step, col_step: row_step }
    }
}

/// `out (+)= a b`, `out` dense with one row after the other; single-threaded, so its bits depend on the shapes alone.
pub(crate) fn product<T: Element>(out: &mut [T], a: View<T>, b: View<T>, accumulate: bool) {
    assert_eq!(a.cols, b.rows);
    assert_eq!(out.len(), a.rows * b.cols);
    if out.is_empty() {
        return;
    }
    if a.cols == 0 {
        if !accumulate {
            out.fill(T::ZERO);
        }
        return;
    }
    // SAFETY: no view reaches beyond its slice (checked in `new` and `columns`, kept by `transposed`) and `out` has
    // `a.rows x b.cols` entries (asserted above), so every address that the steps reach is in bounds; `out` is borrowed
    // mutably and so overlaps neither input. `T` is f32 or f64, which `gemm` supports.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            b.cols as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.col_step as isize,
            b.row_step as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_transposes() {
        let a = [1f64, 2., 3., 4., 5., 6.]; // 2 x 3
        let b = [1f64, 0., 2., 0., 1., 3.]; // 2 x 3
        let mut out = [0f64; 4];
        product(&mut out, View::new(&a, 2, 3), View::new(&b, 2, 3).transposed(), false);
        assert_eq!(out, [7., 11., 16., 23.]);
        let mut out = [1f64; 9];
        product(&mut out, View::new(&a, 2, 3).transposed(), View::new(&b, 2, 3), true);
        assert_eq!(out, [2., 5., 15., 3., 6., 20., 4., 7., 25.]);
        // Columns 1 and 2 of a, as 2 x 2, times itself transposed.
        let part = View::columns(&a, 3, 1..3);
        let mut out = [0f64; 4];
        product(&mut out, part, part.transposed(), false);
        assert_eq!(out, [13., 28., 28., 61.]);
    }
}

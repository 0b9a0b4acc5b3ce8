//! Products of matrices that lie anywhere in a slice, on one thread.

use super::Element;
use gemm::{Parallelism, gemm};

/// Where a matrix lies in a slice: extents and strides (in elements).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Place {
    /// Row after row, `row_stride` apart.
    pub(crate) fn rows(rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose.
    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    /// Elements from the first to the last, both included.
    fn span(self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// `out = a b`, or `out += a b` if `add`. Always on the calling thread: whoever calls shares out the work, in parts
/// that do not depend on the number of threads.
///
/// # Panics
/// If a matrix does not lie in its slice or the extents do not fit: both are errors of this crate, not of its user.
pub(crate) fn product<T: Element>(out: (&mut [T], Place), a: (&[T], Place), b: (&[T], Place), add: bool) {
    let ((out, o), (a, l), (b, r)) = (out, a, b);
    assert!(o.rows == l.rows && o.columns == r.columns && l.columns == r.rows, "extents {o:?}, {l:?}, {r:?}");
    assert!(o.span() <= out.len() && l.span() <= a.len() && r.span() <= b.len(), "a matrix leaves its slice");
    let stride = |n: usize| n as isize;
    // SAFETY: all elements that the product reads or writes lie within the slices (asserted above: offsets grow with
    // row and column, and the last one is inside), `out` is borrowed mutably and so does not overlap `a` and `b`, and
    // T is f32 or f64 (`Element` is sealed), which `gemm` supports.
    unsafe {
        gemm(
            o.rows,
            o.columns,
            l.columns,
            out.as_mut_ptr(),
            stride(o.column_stride),
            stride(o.row_stride),
            add,
            a.as_ptr(),
            stride(l.column_stride),
            stride(l.row_stride),
            b.as_ptr(),
            stride(r.column_stride),
            stride(r.row_stride),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        // [1 2; 3 4] [5 6; 7 8] = [19 22; 43 50]; the transpose of the first gives [26 30; 38 44].
        let (a, b) = ([1f64, 2., 3., 4.], [5f64, 6., 7., 8.]);
        let p = Place::rows(2, 2, 2);
        let mut out = [0.; 4];
        product((&mut out, p), (&a, p), (&b, p), false);
        assert_eq!(out, [19., 22., 43., 50.]);
        product((&mut out, p), (&a, p.transposed()), (&b, p), true);
        assert_eq!(out, [45., 52., 81., 94.]);
    }
}

use super::Element;
use super::simd::vectorised;

vectorised! {
    /// Sums of the columns of a matrix with `columns` columns: in the number type over a block of rows, then in f64.
    pub(crate) fn column_sums<T: Element>(columns: usize, rows: &[T]) -> Vec<f64> {
        const BLOCK: usize = 64;
        let mut total = vec![0.; columns];
        let mut block_sum = vec![T::ZERO; columns];
        for block in rows.chunks(columns * BLOCK) {
            block_sum.fill(T::ZERO);
            for row in block.chunks_exact(columns) {
                for (s, &v) in block_sum.iter_mut().zip(row) {
                    *s += v;
                }
            }
            for (t, s) in total.iter_mut().zip(&block_sum) {
                *t += s.to_f64();
            }
        }
        total
    }
}

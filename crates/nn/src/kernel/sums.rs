use super::Element;
use npair_simd::vectorised;
use rayon::prelude::*;

/// Sums of the columns of a matrix with `columns` columns: in the number type over a block of rows, then in f64, part by
/// part in their order.
pub(crate) fn column_sums<T: Element>(columns: usize, x: &[T]) -> Vec<T> {
    const ROWS: usize = 1024;
    let parts: Vec<Vec<f64>> = x.par_chunks(columns * ROWS).map(|rows| part(columns, rows)).collect();
    let mut total = vec![0.; columns];
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total.into_iter().map(T::from_f64).collect()
}

vectorised! {
    fn part<T: Element>(columns: usize, rows: &[T]) -> Vec<f64> {
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

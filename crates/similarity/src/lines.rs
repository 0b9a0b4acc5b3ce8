use crate::tiles::{Matrix, Tiles, blocks};
use crate::{Element, Result, Rows};
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a task. Fixed, so that no result depends on the number of threads.
const ROWS: usize = 84;

impl<T: Element> Rows<'_, T> {
    /// What `f` makes of every row of the matrix: for what needs whole rows of it, but not all at once.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); `f` is given a row's number and its G entries, which it may overwrite; Q results in
    /// the order of the rows. Rows run in parallel; beside the results that is memory for
    /// a copy of the gallery, and for 84 rows of the matrix per thread.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the widths differ.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::Rows;
    /// # use npair_types::Measure;
    /// let points = Rows::new(&[0f64, 1., 3.], 1)?;
    /// let sums = points.map_lines(points, Measure::SquaredEuclidean, |_, line| line.iter().sum::<f64>())?;
    /// assert_eq!(sums, [-10., -5., -13.]); // -(0 + 1 + 9), -(1 + 0 + 4), -(9 + 4 + 0)
    /// # Ok::<(), npair_similarity::Error>(())
    /// ```
    pub fn map_lines<R: Send>(
        self,
        gallery: Self,
        measure: Measure,
        f: impl Fn(usize, &mut [T]) -> R + Sync,
    ) -> Result<Vec<R>> {
        self.expect_width(&gallery)?;
        let columns = gallery.len();
        let tiles = Tiles::new(self, gallery, measure);
        let right = tiles.packed(0..columns);
        let task = |(lines, buffer): &mut (Vec<T>, Vec<T>), rows: &Range<usize>| -> Vec<R> {
            lines.resize(rows.len() * columns, T::ZERO);
            tiles.tiles(rows.clone(), 0, &right, buffer, |tile| {
                for ((_, part), line) in tile.lines().zip(lines.chunks_exact_mut(columns)) {
                    line[tile.columns.clone()].copy_from_slice(part);
                }
            });
            rows.clone().enumerate().map(|(at, row)| f(row, &mut lines[at * columns..(at + 1) * columns])).collect()
        };
        let results: Vec<Vec<R>> =
            blocks(self.len(), ROWS).par_iter().map_init(|| (Vec::new(), Vec::new()), task).collect();
        Ok(results.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Tensor};
    use npair_testkit::{inputs, threads};

    #[test]
    fn lines_are_those_of_the_whole_matrix() {
        // More than a block of rows and a tile of columns.
        let [q, g] = [(1, 70), (2, 1030)].map(|(seed, n)| inputs::normal(seed, 1., (n, 5), DType::F64).unwrap());
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let (a, b) = (flat(&q), flat(&g));
        let (a, b) = (Rows::new(&a, 5).unwrap(), Rows::new(&b, 5).unwrap());
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            let want = crate::Similarity::new(&q, &g, measure).unwrap().dense().unwrap().to_vec2::<f64>().unwrap();
            let all = threads::with_threads(&[1, 2], || a.map_lines(b, measure, |i, line| (i, line.to_vec())).unwrap());
            assert_eq!(all[0], all[1]);
            for (row, (got, want)) in all[0].iter().zip(&want).enumerate() {
                assert_eq!(got.0, row);
                assert!(got.1.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-13), "{measure} {row}");
            }
        }
        let none = Rows::new(&[], 5).unwrap();
        assert_eq!(a.map_lines(none, Measure::Dot, |_, line| line.len()).unwrap(), [0; 70]);
        assert!(none.map_lines(a, Measure::Dot, |_, _| ()).unwrap().is_empty());
        assert!(a.map_lines(Rows::new(&[1.], 1).unwrap(), Measure::Dot, |_, _| ()).is_err());
    }
}

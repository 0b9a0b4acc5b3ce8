use crate::pairwise::PairwiseSimilarity;
use crate::sweep::{self, Gather, Stop, Sweep};
use crate::{Element, Error, Result, Rows};
use npair_types::Measure;

/// The nearest gallery row of a query, and how far ahead it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closest {
    /// Its place in the gallery; the first of equally near ones.
    pub index: usize,
    /// Its similarity, in f64.
    pub similarity: f64,
    /// No other row is nearer than this: the second one's similarity or a little more; minus infinity if there is none.
    pub next: f64,
}

impl<T: Element> Rows<'_, T> {
    /// The nearest gallery row of every query: a search for one neighbour that keeps no lists.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D) with at least one row; Q entries. Memory beside them: 8 MiB for a packed piece of the
    /// gallery in f32, and 36 bytes for a query.
    ///
    /// # Numerics
    /// The nearest by similarity in f64: where products in f32 cannot tell, pairs are compared once more in f64. Lengths have
    /// to be from 1e-12 to 1e12, or 0, for f32. The same for any number of threads.
    ///
    /// # Errors
    /// [`Error::Shape`] if widths differ or the gallery is empty; [`Error::Overflow`] if products of finite rows are not
    /// finite or lengths are out of range.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::Rows;
    /// # use npair_types::Measure;
    /// let (points, centres) = ([0f64, 4., 5.], [1., 6.]);
    /// let found = Rows::new(&points, 1)?.closest(Rows::new(&centres, 1)?, Measure::SquaredEuclidean)?;
    /// assert_eq!((found[2].index, found[2].similarity, found[2].next), (1, -1., -16.));
    /// # Ok::<(), npair_similarity::Error>(())
    /// ```
    pub fn closest(self, gallery: Self, measure: Measure) -> Result<Vec<Closest>> {
        self.expect_width(&gallery)?;
        if gallery.is_empty() {
            return Err(Error::Shape { what: "gallery", got: "no rows".to_owned(), want: "at least one".to_owned() });
        }
        let pairs = PairwiseSimilarity::new(self, gallery, measure);
        let single = T::EPSILON > f64::EPSILON;
        if single && let Some(row) = pairs.wild_query() {
            return Err(Error::Overflow { row, dtype: T::NAME });
        }
        let sweep = Sweep::new(self, gallery, measure, |_, _| false);
        let margins = if single { pairs.margins(&sweep.tiles) } else { vec![0.; self.len()] };
        let mut all = Best {
            best: vec![Closest { index: 0, similarity: f64::NEG_INFINITY, next: f64::NEG_INFINITY }; self.len()],
            bars: vec![T::NEG_INFINITY; self.len()],
            margins,
            pairs: single.then_some(&pairs),
        };
        sweep.in_gallery(&mut all).map_err(|stop| match stop {
            Stop::Overflow(row) => Error::Overflow { row, dtype: T::NAME },
            Stop::Given => Error::Overflow { row: 0, dtype: T::NAME },
        })?;
        Ok(all.best)
    }
}

/// The best so far of every query.
struct Best<'a, T> {
    best: Vec<Closest>,
    /// Values below are neither the best nor the second.
    bars: Vec<T>,
    margins: Vec<f64>,
    /// Where similarity comes from if the values are not it.
    pairs: Option<&'a PairwiseSimilarity<'a, T>>,
}

struct Block<'b, T> {
    first: usize,
    best: &'b mut [Closest],
    bars: &'b mut [T],
    margins: &'b [f64],
    pairs: Option<&'b PairwiseSimilarity<'b, T>>,
}

impl<T: Element> Gather<T> for Best<'_, T> {
    type Room = ();
    type Block<'b>
        = Block<'b, T>
    where
        Self: 'b;

    fn blocks(&mut self, size: usize) -> Vec<Block<'_, T>> {
        let parts = self.best.chunks_mut(size).zip(self.bars.chunks_mut(size)).zip(self.margins.chunks(size));
        let pairs = self.pairs;
        parts
            .enumerate()
            .map(|(at, ((best, bars), margins))| Block { first: at * size, best, bars, margins, pairs })
            .collect()
    }
}

impl<T: Element> sweep::Block<T, ()> for Block<'_, T> {
    fn first(&self) -> usize {
        self.first
    }

    fn bars(&self) -> &[T] {
        self.bars
    }

    /// Columns come in their order, so the first of equally near ones stays.
    #[inline]
    fn offer(&mut self, row: usize, value: T, column: usize, (): &mut ()) -> std::result::Result<(), Stop> {
        if value < self.bars[row] {
            return Ok(());
        }
        let (value, margin) = (value.wide(), self.margins[row]);
        if !value.is_finite() {
            return Err(Stop::Overflow(self.first + row));
        }
        let best = &mut self.best[row];
        let most = value + margin;
        let similarity = match self.pairs {
            // It may be the second, but not the best.
            _ if most < best.similarity => most,
            Some(pairs) => pairs.similarity(self.first + row, column),
            None => value,
        };
        if similarity > best.similarity {
            *best = Closest { index: column, similarity, next: best.similarity.max(best.next) };
        } else {
            best.next = best.next.max(similarity);
        }
        self.bars[row] = T::narrow(best.next - margin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use npair_testkit::threads;

    /// The two nearest of every query by looking at all, in f64.
    fn looked(x: &[f64], g: &[f64], d: usize, measure: Measure) -> Vec<Closest> {
        let pairs = PairwiseSimilarity::new(Rows::trusted(x, d), Rows::trusted(g, d), measure);
        let of = |i: usize| {
            let all: Vec<f64> = (0..g.len() / d).map(|j| pairs.similarity(i, j)).collect();
            let index = (0..all.len()).fold(0, |best, j| if all[j] > all[best] { j } else { best });
            let others = (0..all.len()).filter(|&j| j != index).map(|j| all[j]);
            Closest { index, similarity: all[index], next: others.fold(f64::NEG_INFINITY, f64::max) }
        };
        (0..x.len() / d).map(of).collect()
    }

    #[test]
    fn the_closest_is_that_of_looking_at_all() {
        let whole = |n: usize, seed: usize| (0..n).map(|i| ((i * 37 + i * i * 11 + seed) % 7) as f64 - 3.).collect();
        for (q, n, d) in [(1, 1, 1), (200, 150, 2), (300, 90, 3)] {
            let (x, g): (Vec<f64>, Vec<f64>) = (whole(q * d, 1), whole(n * d, 5));
            let single = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<_>>();
            let (x32, g32) = (single(&x), single(&g));
            for measure in [Measure::Dot, Measure::SquaredEuclidean] {
                let want = looked(&x, &g, d, measure);
                let double = Rows::trusted(&x, d).closest(Rows::trusted(&g, d), measure).unwrap();
                assert_eq!(double, want, "{measure} {q} {n} {d}");
                let single = Rows::trusted(&x32, d).closest(Rows::trusted(&g32, d), measure).unwrap();
                for (got, want) in single.iter().zip(&want) {
                    assert_eq!((got.index, got.similarity), (want.index, want.similarity));
                    // A bound, off by what products in f32 may be off.
                    assert!(got.next >= want.next && got.next <= want.next + 1e-4 || got.next == want.next);
                }
            }
        }
    }

    #[test]
    fn what_single_cannot_tell_is_told_in_double() {
        // Centres that differ by less than products in f32 do.
        let (q, n, d) = (400, 70, 300);
        let noise = |i: usize| ((i * 7919 + i / 13 * 104_729) % 10_007) as f64 / 10_007. - 0.5;
        let near = |rows: usize, from: usize| -> Vec<f32> {
            (0..rows * d).map(|i| (noise(i % d) + 1e-5 * noise(i + from)) as f32).collect()
        };
        let (x, g) = (near(q, 0), near(n, 999_983));
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        for measure in [Measure::Dot, Measure::SquaredEuclidean] {
            let want = looked(&wide(&x), &wide(&g), d, measure);
            let (x, g) = (Rows::trusted(&x, d), Rows::trusted(&g, d));
            let all = threads::with_threads(&[1, 2, 3], || x.closest(g, measure).unwrap());
            assert!(all.windows(2).all(|w| w[0] == w[1]));
            for (got, want) in all[0].iter().zip(&want) {
                assert_eq!((got.index, got.similarity), (want.index, want.similarity), "{measure}");
                assert!(got.next >= want.next);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let x = [1e20f32, 1.];
        let rows = Rows::trusted(&x, 1);
        assert!(rows.closest(rows, Measure::Dot).unwrap_err().to_string().contains("overflow"));
        assert!(rows.closest(Rows::trusted(&[], 1), Measure::Dot).unwrap_err().to_string().contains("at least one"));
    }
}

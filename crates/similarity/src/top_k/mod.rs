//! Exact search: every query's best so far are gathered while the matrix streams by.

mod candidates;
mod search;

use crate::{Element, Error, Result, Rows};
use npair_types::{ExampleId, Measure};
use search::Search;

/// What a search leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub enum Exclude<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// Gallery row i for query row i: a set searched in itself.
    SameRow,
    /// Gallery rows with the query's example id.
    SameId {
        /// Ids of the queries.
        queries: &'a [ExampleId],
        /// Ids of the gallery.
        gallery: &'a [ExampleId],
    },
}

impl Exclude<'_> {
    pub(crate) fn check(&self, queries: usize, gallery: usize) -> Result<()> {
        if let Self::SameId { queries: q, gallery: g } = self
            && (q.len(), g.len()) != (queries, gallery)
        {
            let (got, want) = (format!("{} and {}", q.len(), g.len()), format!("{queries} and {gallery}"));
            return Err(Error::Shape { what: "ids of queries and gallery", got, want });
        }
        Ok(())
    }

    /// What is left, as a mask.
    pub(crate) fn mask(&self) -> crate::Mask {
        use npair_types::ClassId;
        match self {
            Self::Nothing => crate::Mask::All,
            Self::SameRow => crate::Mask::OffDiagonal,
            Self::SameId { queries, gallery } => {
                // Ids by a number each, as kernels compare them.
                let mut numbers = std::collections::HashMap::new();
                let mut number = |ids: &[ExampleId]| -> std::sync::Arc<[ClassId]> {
                    let of = |id: &ExampleId| {
                        let next = numbers.len() as u32;
                        ClassId(*numbers.entry(*id).or_insert(next))
                    };
                    ids.iter().map(of).collect()
                };
                let rows = number(queries);
                crate::Mask::OtherClass(rows, number(gallery))
            }
        }
    }

    #[inline]
    pub(crate) fn hits(&self, query: usize, gallery: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::SameRow => query == gallery,
            Self::SameId { queries, gallery: g } => queries[query] == g[gallery],
        }
    }
}

/// The nearest gallery rows of every query, nearest first; equally near ones in the order of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbors<T> {
    /// Where each query's list starts; one more entry than queries.
    starts: Vec<usize>,
    indices: Vec<u32>,
    similarity: Vec<T>,
}

impl<T: Element> Neighbors<T> {
    /// From lists of places and similarity, which end where a place is the greatest number.
    pub(crate) fn of_lists(places: Vec<Vec<u32>>, similarity: Vec<Vec<T>>) -> Self {
        let mut all = Self { starts: vec![0], indices: Vec::new(), similarity: Vec::new() };
        for (places, similarity) in places.iter().zip(&similarity) {
            let n = places.iter().take_while(|&&p| p != u32::MAX).count();
            all.indices.extend_from_slice(&places[..n]);
            all.similarity.extend_from_slice(&similarity[..n]);
            all.starts.push(all.indices.len());
        }
        all
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there was no query.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gallery rows near query `i`: k of them, or all that are left after exclusion if those are fewer.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn indices(&self, i: usize) -> &[u32] {
        &self.indices[self.starts[i]..self.starts[i + 1]]
    }

    /// Their similarity.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn similarity(&self, i: usize) -> &[T] {
        &self.similarity[self.starts[i]..self.starts[i + 1]]
    }
}

impl<T: Element> Rows<'_, T> {
    /// The `k` nearest rows of `gallery` for every row of `self`, exactly.
    ///
    /// The matrix is streamed in tiles. A set searched in itself (the same slice on both sides) has every product taken once
    /// for both its rows. Memory beyond the result: 54 candidates a query, or a fifth of the result if that is more; and a
    /// copy of the gallery, in pieces if it is larger than 128 MiB.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); the result has Q lists of at most `k`.
    ///
    /// # Numerics
    /// Products are summed in `T`; rows that tie to the last bit come in the order of the gallery.
    ///
    /// # Errors
    /// [`Error::Shape`] if the widths differ, `k` is 0, the gallery has more than `u32::MAX` rows or the ids of `exclude`
    /// do not fit; [`Error::Overflow`] if products of finite rows are not finite.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::{Exclude, Rows};
    /// # use npair_types::Measure;
    /// let points = Rows::new(&[0f64, 1., 5., 5.5], 1)?;
    /// let near = points.top_k(points, Measure::SquaredEuclidean, 2, Exclude::SameRow)?;
    /// assert_eq!(near.indices(0), [1, 2]);
    /// assert_eq!(near.similarity(2), [-0.25, -16.]);
    /// # Ok::<(), npair_similarity::Error>(())
    /// ```
    pub fn top_k(self, gallery: Self, measure: Measure, k: usize, exclude: Exclude) -> Result<Neighbors<T>> {
        self.expect_width(&gallery)?;
        exclude.check(self.len(), gallery.len())?;
        if k == 0 || u32::try_from(gallery.len()).is_err() {
            let got = format!("k = {k} of {} rows", gallery.len());
            return Err(Error::Shape { what: "top-k", got, want: "k >= 1 of at most 4294967295 rows".to_owned() });
        }
        let lists = Search { queries: self, gallery, measure, exclude }.run(k.min(gallery.len().max(1)));
        let (starts, indices, similarity) = lists.map_err(|row| Error::Overflow { row, dtype: T::NAME })?;
        Ok(Neighbors { starts, indices, similarity })
    }
}

//! A gallery that comes piece by piece: a piece is searched as a gallery of its own, for what is nearer than what is known by then.

use super::few::few;
use super::search::Lists;
use super::{Exclude, Neighbors, Task, Unseen, by_candidates, coarse_of, finite};
use crate::pairwise::PairwiseSimilarity;
use crate::{Element, Error, Result, Rows};
use npair_types::Measure;

type Key = <f64 as Element>::Key;

impl Rows<'_, f32> {
    /// The `k` nearest rows, for every row of `self`, of a gallery that comes piece by piece: one that is larger than memory.
    ///
    /// A piece is dropped before the next one is asked for. Memory beyond the result: what [`top_k`](Self::top_k) takes for a piece, and
    /// 16 bytes for every neighbour. Pieces of 100,000 rows or so give the search enough to do.
    ///
    /// # Shapes
    /// `self` (Q, D); a piece is some rows of D entries, one after the other, of any number. Q lists of at most `k`; places are those
    /// in the whole gallery, which has at most `u32::MAX` rows; ids of `exclude` are those of all of it.
    ///
    /// # Numerics
    /// As for [`top_k`](Self::top_k), and to the same bits however the gallery is cut: of equally near rows the earlier come first. Where
    /// products in f32 cannot tell rows apart, pairs are compared one by one in f64, which is slower than what `top_k` does there and
    /// may order rows otherwise that tie within the last bit of f64.
    ///
    /// # Errors
    /// That of the first piece that is one; [`Error::Shape`] if a piece is no whole number of rows, `k` is 0, there are too many rows, or
    /// ids do not fit; [`Error::NotFinite`] with the gallery's row; [`Error::Overflow`] if a similarity is not finite in f32.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::{Error, Exclude, Rows};
    /// # use npair_types::Measure;
    /// let queries = Rows::new(&[0f32, 5.], 1)?;
    /// let pieces = [Ok::<_, Error>(vec![1f32, 4.]), Ok(vec![6f32])];
    /// let near = queries.top_k_in_pieces(pieces, Measure::SquaredEuclidean, 2, Exclude::Nothing)?;
    /// assert_eq!((near.indices(0), near.indices(1)), (&[0, 1][..], &[1, 2][..]));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn top_k_in_pieces<P: AsRef<[f32]>, E: From<Error>>(
        self,
        pieces: impl IntoIterator<Item = Result<P, E>>,
        measure: Measure,
        k: usize,
        exclude: Exclude,
    ) -> Result<Neighbors<f32>, E> {
        if k == 0 {
            return Err(shape("top-k", "k = 0", "k >= 1").into());
        }
        let mut all = Collected { queries: self, measure, k, exclude, lists: vec![Vec::new(); self.len()], rows: 0 };
        for piece in pieces {
            all.add(piece?.as_ref())?;
        }
        Ok(all.end()?)
    }
}

fn shape(what: &'static str, got: impl ToString, want: impl ToString) -> Error {
    Error::Shape { what, got: got.to_string(), want: want.to_string() }
}

/// What has been found so far.
struct Collected<'a> {
    queries: Rows<'a, f32>,
    measure: Measure,
    k: usize,
    exclude: Exclude<'a>,
    /// The best k of every query; sorted once they are k.
    lists: Vec<Vec<Key>>,
    /// Rows that have come.
    rows: usize,
}

impl Collected<'_> {
    fn add(&mut self, piece: &[f32]) -> Result<()> {
        let (first, width) = (self.rows, self.queries.width());
        let gallery = Rows::new(piece, width).map_err(|error| match error {
            Error::NotFinite { row, .. } => Error::NotFinite { side: "gallery", row: first + row },
            Error::Shape { got, want, .. } => Error::Shape { what: "a piece of the gallery", got, want },
            other => other,
        })?;
        self.rows += gallery.len();
        self.expect_rows(false)?;
        if gallery.is_empty() || self.queries.is_empty() {
            return Ok(());
        }
        let known: Option<Vec<f64>> =
            self.lists.iter().map(|list| Some(f64::of_key(*list.get(self.k - 1)?).0)).collect();
        let exclude = Unseen { exclude: self.exclude, first };
        let task = Task { queries: self.queries, gallery, measure: self.measure, exclude, known: known.as_deref() };
        let pairs = PairwiseSimilarity::new(self.queries, gallery, self.measure);
        let found = nearest(task, &pairs, self.k.min(gallery.len()))?;
        for (query, list) in self.lists.iter_mut().enumerate() {
            let places = &found.1[found.0[query]..found.0[query + 1]];
            if places.is_empty() {
                continue;
            }
            list.extend(places.iter().map(|&i| pairs.similarity(query, i as usize).key((first + i as usize) as u32)));
            list.sort_unstable_by(|a, b| b.cmp(a));
            list.truncate(self.k);
        }
        Ok(())
    }

    /// Whether ids are those of as many rows, of more at most before the end.
    fn expect_rows(&self, end: bool) -> Result<()> {
        if u32::try_from(self.rows).is_err() {
            return Err(shape("top-k", format!("{} rows", self.rows), "at most 4294967295 rows"));
        }
        match self.exclude {
            Exclude::SameId { gallery, .. } if !end && self.rows <= gallery.len() => {
                self.exclude.check(self.queries.len(), gallery.len())
            }
            exclude => exclude.check(self.queries.len(), self.rows),
        }
    }

    fn end(self) -> Result<Neighbors<f32>> {
        self.expect_rows(true)?;
        let (mut starts, mut indices, mut similarity) = (vec![0], Vec::new(), Vec::new());
        for list in self.lists {
            for (value, row) in list.into_iter().map(f64::of_key) {
                indices.push(row);
                similarity.push(value as f32);
            }
            starts.push(indices.len());
        }
        let (starts, indices, similarity) = finite((starts, indices, similarity))?;
        Ok(Neighbors { starts, indices, similarity })
    }
}

/// The best k of every query by similarity in f64 of single pairs, whatever finds them; where bars are known some below these may be
/// among them, and all others are missing.
pub(super) fn nearest(task: Task<f32>, pairs: &PairwiseSimilarity<f32>, k: usize) -> Result<Lists<f32>> {
    let Task { queries, gallery, exclude, known, .. } = task;
    let found = (queries.len() > super::few::FEW).then(|| {
        // Few are above a bar that is known.
        let many = if known.is_some() { 1 } else { k };
        by_candidates(task, pairs, k, |q, g, measure| coarse_of(q, g, measure, many))
    });
    match found.flatten() {
        Some(lists) => Ok(lists),
        None => few(pairs, [queries.len(), gallery.len()], k, exclude),
    }
}

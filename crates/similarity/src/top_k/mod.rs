//! Exact search: every query's best so far are gathered while the matrix streams by.

mod candidates;
mod few;
mod pieces;
mod range;
mod search;
#[cfg(test)]
mod tests;

use crate::coarse::Coarse;
use crate::pairwise::PairwiseSimilarity;
use crate::rows::Wide;
use crate::sweep::Stop;
use crate::unit::UnitSides;
use crate::{Element, Error, Result, Rows};
use npair_types::{ExampleId, Measure};
use search::{Lists, Search, overflowed};

/// Rows of either side and entries of a row from which on a side in whole numbers is worth making.
const MANY: usize = 64;
const WIDE: usize = 32;

/// Of more neighbours, or for one neighbour of fewer rows of the gallery, the candidates that whole numbers cannot tell apart cost more
/// than their products save.
const MOST: usize = 100;
const PART: usize = 200;

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

/// What a search in a piece of a gallery leaves out.
#[derive(Debug, Clone, Copy)]
struct Unseen<'a> {
    exclude: Exclude<'a>,
    /// The gallery's row that is the piece's first.
    first: usize,
}

impl Unseen<'_> {
    #[inline]
    fn hits(&self, query: usize, row: usize) -> bool {
        self.exclude.hits(query, self.first + row)
    }
}

impl<'a> From<Exclude<'a>> for Unseen<'a> {
    fn from(exclude: Exclude<'a>) -> Self {
        Self { exclude, first: 0 }
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

    /// The same with similarity in f32.
    pub(crate) fn narrowed(self) -> Result<Neighbors<f32>> {
        let similarity = self.similarity.iter().map(|v| v.wide() as f32).collect();
        let (starts, indices, similarity) = finite((self.starts, self.indices, similarity))?;
        Ok(Neighbors { starts, indices, similarity })
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
    /// for both its rows. Memory beyond the result: 54 candidates a query, or a fifth of the result if that is more (86, or five times
    /// the result up to 500, and two copies of each side in 8 bits, where candidates are chosen by whole numbers); a copy of the gallery, in pieces if it is larger than 128 MiB; and one of each side for cosines in f32, or for squared
    /// distances far from the origin. Up to four queries in f32 take no copy: their pairs are compared one by one.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); the result has Q lists of at most `k`.
    ///
    /// # Numerics
    /// The nearest are those by similarity in f64, wherever the rows lie. For f32 products in f32 choose the candidates, with all
    /// that such products cannot tell from them, and the candidates are compared in f64; where that would be every 32nd of all
    /// pairs, or lengths are below 1e-12 or above 1e12, all is done in f64. With AVX512-VNNI products of whole numbers of 8 bits choose
    /// them first, with a proven bound on what is lost, where both sides have 64 rows or more of width 32 or more and `k` is at most 100 and a
    /// 200th of the gallery; what is decided is the same. What is returned is the similarity in f64, rounded to
    /// `T`. Rows that tie to the last bit come in the order of the gallery. The same for any number of threads.
    ///
    /// # Errors
    /// [`Error::Shape`] if the widths differ, `k` is 0, the gallery has more than `u32::MAX` rows or the ids of `exclude`
    /// do not fit; [`Error::Overflow`] if similarities of finite rows are not finite in `T`.
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
        let k = k.min(gallery.len().max(1));
        let (starts, indices, similarity) = match T::EPSILON > f64::EPSILON {
            true => in_single(Task { queries: self, gallery, measure, exclude: exclude.into(), known: None }, k)?,
            false => {
                let exclude = exclude.into();
                let search =
                    Search { queries: self, gallery, measure, exclude, pairs: None, coarse: None, known: None };
                let lists = search.run(k);
                lists.map_err(|stop| overflow(stop, T::NAME))?
            }
        };
        Ok(Neighbors { starts, indices, similarity })
    }
}

fn overflow(stop: Stop, dtype: &'static str) -> Error {
    Error::Overflow { row: overflowed(stop), dtype }
}

/// What is searched for what.
#[derive(Clone, Copy)]
struct Task<'a, T> {
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    measure: Measure,
    exclude: Unseen<'a>,
    /// Of every query the similarity below which nobody looks, if it is known before.
    known: Option<&'a [f64]>,
}

/// The lists of f32 sides.
fn in_single<T: Element>(task: Task<T>, k: usize) -> Result<Lists<T>> {
    let Task { queries, gallery, measure, exclude, known } = task;
    let pairs = PairwiseSimilarity::new(queries, gallery, measure);
    if queries.len() <= few::FEW {
        return finite(few::few(&pairs, [queries.len(), gallery.len()], k, exclude)?);
    }
    if let Some(lists) = by_candidates(task, &pairs, k, |q, g, measure| coarse_of(q, g, measure, k)) {
        return finite(lists);
    }
    let wide = Wide::of(queries, gallery);
    let (queries, gallery) = (wide.queries(), wide.gallery());
    let search = Search { queries, gallery, measure, exclude, pairs: None, coarse: None, known };
    let (starts, indices, similarity) = search.run(k).map_err(|stop| overflow(stop, "f64"))?;
    finite((starts, indices, similarity.into_iter().map(T::narrow).collect()))
}

/// The same from candidates, decided in f64: by whole numbers if `coarse` has a matrix of them, by products in f32 if these cannot
/// tell. None where f32 cannot tell either, or has no such products.
fn by_candidates<T: Element>(
    Task { queries, gallery, measure, exclude, known }: Task<T>,
    pairs: &PairwiseSimilarity<T>,
    k: usize,
    coarse: impl Fn(Rows<T>, Rows<T>, Measure) -> Option<Coarse<T>>,
) -> Option<Lists<T>> {
    let unit = (measure == Measure::Cosine).then(|| UnitSides::of(queries, gallery));
    if unit.is_none() && !pairs.is_tame() {
        return None;
    }
    let (queries, gallery, measure) = match &unit {
        Some(unit) => (unit.queries(), unit.gallery(), Measure::Dot),
        None => (queries, gallery, measure),
    };
    let search = |coarse| Search { queries, gallery, measure, exclude, pairs: Some(pairs), coarse, known };
    let each_is_tame = unit.is_some() || pairs.rows_are_tame();
    let coarse = each_is_tame.then(|| coarse(queries, gallery, measure)).flatten();
    let found = coarse.and_then(|coarse| search(Some(coarse)).run(k).ok());
    found.or_else(|| search(None).run(k).ok())
}

/// The coarse matrix of sides that are long and wide enough for it to pay off, where the machine multiplies quads.
fn coarse_of<T: Element>(queries: Rows<T>, gallery: Rows<T>, measure: Measure, k: usize) -> Option<Coarse<T>> {
    let long = queries.len() >= MANY && gallery.len() >= MANY && queries.width() >= WIDE;
    let pays = long && k <= MOST.min(gallery.len() / PART);
    if !(pays && npair_simd::quads_can_be_multiplied() && Coarse::<T>::holds(queries.width())) {
        return None;
    }
    Some(Coarse::new(queries, gallery, measure))
}

/// The lists, unless a similarity is none of the number type's.
fn finite<T: Element>(lists: Lists<T>) -> Result<Lists<T>> {
    match lists.2.iter().position(|v| !v.wide().is_finite()) {
        Some(at) => Err(Error::Overflow { row: lists.0.partition_point(|&start| start <= at) - 1, dtype: T::NAME }),
        None => Ok(lists),
    }
}

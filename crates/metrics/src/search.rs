use crate::embeddings::AnyRows;
use crate::{Embeddings, Error, Result};
use npair_similarity::{Element, Exclude, Rows};
use npair_types::{ClassId, ExampleId, Measure};
use std::collections::HashMap;

/// Queries that are widened to f64 at a time: all of them would take twice the memory that they have.
const WIDENED: usize = 1 << 14;

/// Who is searched where: the queries, the gallery, and the measure between them.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub(crate) queries: &'a Embeddings,
    pub(crate) gallery: &'a Embeddings,
    pub(crate) measure: Measure,
    hidden: Hidden<'a>,
}

/// What of the gallery a query does not see.
#[derive(Debug, Clone, Copy)]
enum Hidden<'a> {
    Nothing,
    Itself,
    Groups { queries: &'a [ExampleId], gallery: &'a [ExampleId] },
}

impl<'a> Search<'a> {
    /// Every example is a query against all others of its set: the protocol of Song et al.
    pub fn within(set: &'a Embeddings, measure: Measure) -> Self {
        Self { queries: set, gallery: set, measure, hidden: Hidden::Itself }
    }

    /// Queries against a gallery of other examples.
    pub fn between(queries: &'a Embeddings, gallery: &'a Embeddings, measure: Measure) -> Self {
        Self { queries, gallery, measure, hidden: Hidden::Nothing }
    }

    /// Queries against a gallery of which a query does not see what is of its own group: pictures of the same object from the
    /// same camera, frames of one film, or the query itself where it is in the gallery too.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is not a group for every query and every row of the gallery.
    ///
    /// # Examples
    /// ```
    /// # use npair_metrics::{Embeddings, Search, retrieval};
    /// # use npair_types::{ExampleId, Labels, Measure};
    /// let query = Embeddings::new(&[0f64], 1, Labels::new([1])?)?;
    /// let gallery = Embeddings::new(&[0.1, 1., 2.], 1, Labels::new([1, 2, 1])?)?;
    /// let groups = [ExampleId(7), ExampleId(8), ExampleId(9)]; // the nearest was taken by the query's camera
    /// let search = Search::ignoring(&query, &gallery, Measure::SquaredEuclidean, &groups[..1], &groups)?;
    /// assert_eq!(retrieval(&search, &[1])?.recall_at[0].1.value, 0.);
    /// # Ok::<(), npair_metrics::Error>(())
    /// ```
    pub fn ignoring(
        queries: &'a Embeddings,
        gallery: &'a Embeddings,
        measure: Measure,
        query_groups: &'a [ExampleId],
        gallery_groups: &'a [ExampleId],
    ) -> Result<Self> {
        for (what, groups, set) in [
            ("the number of the queries' groups", query_groups, queries),
            ("the number of the gallery's groups", gallery_groups, gallery),
        ] {
            if groups.len() != set.len() {
                let range = format!("{}, one for each", set.len());
                return Err(Error::Setting { what, got: groups.len(), range });
            }
        }
        let hidden = Hidden::Groups { queries: query_groups, gallery: gallery_groups };
        Ok(Self { queries, gallery, measure, hidden })
    }

    /// Whether a query does not see a row of the gallery.
    pub(crate) fn hides(&self, query: usize, row: usize) -> bool {
        match self.hidden {
            Hidden::Nothing => false,
            Hidden::Itself => query == row,
            Hidden::Groups { queries, gallery } => queries[query] == gallery[row],
        }
    }

    pub(crate) fn is_within(&self) -> bool {
        matches!(self.hidden, Hidden::Itself)
    }

    /// The `k` nearest rows of the gallery for every query, nearest first, of those that it sees: all of them if they are fewer.
    /// The nearest are those by similarity in f64 ([`Rows::top_k`]).
    ///
    /// # Errors
    /// [`Error::Setting`] if k is 0 or beyond the gallery; [`Error::Similarity`] if a product overflows.
    ///
    /// # Examples
    /// ```
    /// # use npair_metrics::{Embeddings, Search};
    /// # use npair_types::{Labels, Measure};
    /// let set = Embeddings::new(&[0f32, 1., 5., 5.5], 1, Labels::new([1, 1, 2, 2])?)?;
    /// let near = Search::within(&set, Measure::SquaredEuclidean).nearest(2)?;
    /// assert_eq!((&near[0], &near[2]), (&vec![1, 2], &vec![3, 1]));
    /// # Ok::<(), npair_metrics::Error>(())
    /// ```
    pub fn nearest(&self, k: usize) -> Result<Vec<Vec<usize>>> {
        self.expect_k("k of the k nearest", k)?;
        self.with_sides(Nearest { k, measure: self.measure, exclude: self.exclude() })
    }

    fn exclude(&self) -> Exclude<'a> {
        match self.hidden {
            Hidden::Nothing => Exclude::Nothing,
            Hidden::Itself => Exclude::SameRow,
            Hidden::Groups { queries, gallery } => Exclude::SameId { queries, gallery },
        }
    }

    /// Both sides in one type: in f32 only if both are.
    fn with_sides<W: WithSides>(&self, work: W) -> Result<W::Output> {
        let (queries, gallery) = (self.queries, self.gallery);
        match (queries.any_rows(), gallery.any_rows()) {
            (AnyRows::Single(queries), AnyRows::Single(gallery)) => work.run(queries, gallery),
            (AnyRows::Double(queries), AnyRows::Double(gallery)) => work.run(queries, gallery),
            _ => {
                let (q, g) = (queries.wide(), gallery.wide());
                work.run(Rows::trusted(&q, queries.width()), Rows::trusted(&g, gallery.width()))
            }
        }
    }

    /// What `f` makes of the ranks of every query's positives, ascending from 1.
    pub(crate) fn map_ranks<R: Send>(&self, f: impl Fn(usize, &[usize]) -> R + Sync) -> Result<Vec<R>> {
        self.with_sides(Ranks { search: self, f })
    }

    /// What `f` makes of every query's similarity to the whole gallery in f64, hidden rows too.
    pub(crate) fn map_lines<R: Send>(&self, f: impl Fn(usize, &[f64]) -> R + Sync) -> Result<Vec<R>> {
        let (gallery, width) = (self.gallery.wide(), self.queries.width());
        let gallery = Rows::trusted(&gallery, self.gallery.width());
        let mut found = Vec::with_capacity(self.queries.len());
        for first in (0..self.queries.len()).step_by(WIDENED) {
            let part = self.queries.wide_part(first..self.queries.len().min(first + WIDENED));
            let of_part =
                Rows::trusted(&part, width).map_lines(gallery, self.measure, |row, line| f(first + row, line));
            found.extend(of_part?);
        }
        Ok(found)
    }

    /// Number of positives that every query sees (R).
    pub(crate) fn positives(&self) -> Vec<usize> {
        let gallery = self.gallery.labels().as_slice();
        let mut counts = HashMap::<ClassId, usize>::new();
        gallery.iter().for_each(|&c| *counts.entry(c).or_default() += 1);
        let mut hidden = HashMap::<(ClassId, ExampleId), usize>::new();
        if let Hidden::Groups { gallery: groups, .. } = self.hidden {
            gallery.iter().zip(groups).for_each(|(&c, &group)| *hidden.entry((c, group)).or_default() += 1);
        }
        let own = |query: usize, class: ClassId| match self.hidden {
            Hidden::Nothing => 0,
            Hidden::Itself => 1,
            Hidden::Groups { queries, .. } => hidden.get(&(class, queries[query])).copied().unwrap_or(0),
        };
        let queries = self.queries.labels().as_slice().iter().enumerate();
        queries.map(|(i, &c)| counts.get(&c).map_or(0, |n| n - own(i, c))).collect()
    }

    /// Rows of the gallery that every query sees at least.
    fn least_seen(&self) -> usize {
        let hidden = match self.hidden {
            Hidden::Nothing => 0,
            Hidden::Itself => 1,
            Hidden::Groups { queries, gallery } => {
                let mut counts = HashMap::<ExampleId, usize>::new();
                gallery.iter().for_each(|&group| *counts.entry(group).or_default() += 1);
                queries.iter().filter_map(|group| counts.get(group)).copied().max().unwrap_or(0)
            }
        };
        self.gallery.len() - hidden
    }

    pub(crate) fn expect_k(&self, what: &'static str, k: usize) -> Result<()> {
        let most = self.least_seen();
        if k == 0 || k > most {
            return Err(Error::Setting { what, got: k, range: format!("from 1 to {most}, the size of the gallery") });
        }
        Ok(())
    }
}

/// What is done with the rows of both sides, whatever their type.
trait WithSides {
    type Output;

    fn run<T: Element>(self, queries: Rows<T>, gallery: Rows<T>) -> Result<Self::Output>;
}

struct Nearest<'a> {
    k: usize,
    measure: Measure,
    exclude: Exclude<'a>,
}

impl WithSides for Nearest<'_> {
    type Output = Vec<Vec<usize>>;

    fn run<T: Element>(self, queries: Rows<T>, gallery: Rows<T>) -> Result<Self::Output> {
        let near = queries.top_k(gallery, self.measure, self.k, self.exclude)?;
        Ok((0..near.len()).map(|i| near.indices(i).iter().map(|&row| row as usize).collect()).collect())
    }
}

struct Ranks<'s, 'a, F> {
    search: &'s Search<'a>,
    f: F,
}

impl<R: Send, F: Fn(usize, &[usize]) -> R + Sync> WithSides for Ranks<'_, '_, F> {
    type Output = Vec<R>;

    fn run<T: Element>(self, queries: Rows<T>, gallery: Rows<T>) -> Result<Self::Output> {
        let Search { queries: q, gallery: g, measure, .. } = *self.search;
        Ok(queries.map_class_ranks(gallery, measure, [q.labels(), g.labels()], self.search.exclude(), self.f)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::Labels;

    #[test]
    fn lines_of_many_queries_are_those_of_each() {
        let n = WIDENED + 70;
        let rows =
            |n: usize, step: usize| -> Vec<f32> { (0..3 * n).map(|at| ((at * step % 1013) as f32).sin()).collect() };
        let labels = |n: usize| Labels::new((0..n as u32).map(|row| row % 5)).unwrap();
        let queries = Embeddings::owned(rows(n, 37), 3, labels(n)).unwrap();
        let gallery = Embeddings::owned(rows(9, 11), 3, labels(9)).unwrap();
        let search = Search::between(&queries, &gallery, Measure::Cosine);
        let found = search.map_lines(|query, line| (query, line.to_vec())).unwrap();
        let (q, g) = (queries.wide(), gallery.wide());
        let whole =
            Rows::trusted(&q, 3).map_lines(Rows::trusted(&g, 3), Measure::Cosine, |at, line| (at, line.to_vec()));
        assert_eq!(found, whole.unwrap());
    }
}

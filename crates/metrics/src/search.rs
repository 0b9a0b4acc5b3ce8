use crate::{Embeddings, Error, Result};
use npair_similarity::{Exclude, Neighbours};
use npair_types::{ClassId, ExampleId, Measure};
use std::collections::HashMap;

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

    pub(crate) fn top_k(&self, k: usize) -> Result<Neighbours<f64>> {
        let exclude = match self.hidden {
            Hidden::Nothing => Exclude::Nothing,
            Hidden::Itself => Exclude::SameRow,
            Hidden::Groups { queries, gallery } => Exclude::SameId { queries, gallery },
        };
        Ok(self.queries.rows().top_k(self.gallery.rows(), self.measure, k, exclude)?)
    }

    /// What `f` makes of every query's closeness to the whole gallery, hidden rows too.
    pub(crate) fn map_lines<R: Send>(&self, f: impl Fn(usize, &[f64]) -> R + Sync) -> Result<Vec<R>> {
        Ok(self.queries.rows().map_lines(self.gallery.rows(), self.measure, |query, line| f(query, line))?)
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

use crate::{Embeddings, Error, Result};
use npair_similarity::{Exclude, Mask, Neighbours};
use npair_types::{ClassId, Measure};
use std::collections::HashMap;

/// Who is searched where: the queries, the gallery, and the measure between them.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub(crate) queries: &'a Embeddings,
    pub(crate) gallery: &'a Embeddings,
    pub(crate) measure: Measure,
    within: bool,
}

impl<'a> Search<'a> {
    /// Every example is a query against all others of its set: the protocol of Song et al.
    pub fn within(set: &'a Embeddings, measure: Measure) -> Self {
        Self { queries: set, gallery: set, measure, within: true }
    }

    /// Queries against a gallery of other examples.
    pub fn between(queries: &'a Embeddings, gallery: &'a Embeddings, measure: Measure) -> Self {
        Self { queries, gallery, measure, within: false }
    }

    /// Gallery size that a query sees.
    pub(crate) fn gallery_len(&self) -> usize {
        self.gallery.len() - usize::from(self.within)
    }

    pub(crate) fn top_k(&self, k: usize) -> Result<Neighbours<f64>> {
        let exclude = if self.within { Exclude::SameRow } else { Exclude::Nothing };
        Ok(self.queries.rows().top_k(self.gallery.rows(), self.measure, k, exclude)?)
    }

    /// Number of positives of every query (R).
    pub(crate) fn positives(&self) -> Vec<usize> {
        let mut counts = HashMap::<ClassId, usize>::new();
        for &c in self.gallery.labels().as_slice() {
            *counts.entry(c).or_default() += 1;
        }
        let own = usize::from(self.within);
        let queries = self.queries.labels().as_slice().iter();
        queries.map(|c| counts.get(c).map_or(0, |n| n - own)).collect()
    }

    /// Rank from 1 of every query's nearest positive.
    pub(crate) fn first_ranks(&self) -> Result<Vec<Option<usize>>> {
        let (q, g) = (self.queries.labels(), self.gallery.labels());
        let (positive, all) =
            if self.within { (Mask::positives(q), Mask::OffDiagonal) } else { (Mask::same_class(q, g), Mask::All) };
        let (rows, gallery) = (self.queries.rows(), self.gallery.rows());
        let nearest = rows.row_max(gallery, self.measure, &positive)?;
        Ok(rows.ranks(gallery, self.measure, &all, &nearest)?)
    }

    pub(crate) fn expect_k(&self, what: &'static str, k: usize) -> Result<()> {
        let most = self.gallery_len();
        if k == 0 || k > most {
            return Err(Error::Setting { what, got: k, range: format!("from 1 to {most}, the size of the gallery") });
        }
        Ok(())
    }
}

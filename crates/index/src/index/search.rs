//! Exact search.

use super::Index;
use crate::row::{IndexRow, RowFilter};
use crate::{Error, Refinement, Result};
use npair_similarity::{Exclude, Rows};

/// Rows that are copied together at once where only some are searched.
const PIECE: usize = 65_536;

/// A row near a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'a> {
    /// The row.
    pub row: &'a IndexRow,
    /// Its similarity to the query by the index's measure: larger is nearer.
    pub similarity: f32,
}

impl Index {
    /// The nearest rows of every query (Q, D) among those of a filter, nearest first; of equally near ones the earlier. Q lists of k,
    /// or of as many as there are.
    ///
    /// # Numerics
    /// Exact: the nearest by similarity in f64, as [`Rows::top_k`] finds them.
    ///
    /// # Errors
    /// [`Error::Setting`] if queries are of another width or `k` is 0; if similarities are not finite.
    pub fn search(&self, queries: Rows<f32>, k: usize, filter: RowFilter) -> Result<Vec<Vec<Answer<'_>>>> {
        self.check_queries(queries, k)?;
        let found = match filter {
            RowFilter::All => self.nearest(queries, k)?,
            _ => self.nearest_of(queries, k, &filter.positions(&self.rows))?,
        };
        Ok(found.into_iter().map(|list| self.answers(&list)).collect())
    }

    /// The nearest rows of every query (Q, D) after a [`Refinement`], nearest first; k, or as many as there are. The similarity of an
    /// answer is that of the row and the query as it was asked.
    ///
    /// # Errors
    /// Those of [`search`](Self::search) and of the refinement.
    pub fn search_refined(&self, queries: Rows<f32>, k: usize, refinement: Refinement) -> Result<Vec<Vec<Answer<'_>>>> {
        self.check_queries(queries, k)?;
        let found: Vec<Vec<usize>> = match refinement {
            Refinement::Expansion(expansion) => {
                let expanded = expansion.expand(queries, self.vectors())?;
                let found = self.nearest(Rows::trusted(&expanded, self.width()), k)?;
                found.into_iter().map(|list| list.into_iter().map(|(at, _)| at).collect()).collect()
            }
            Refinement::Reranking(reranking) => {
                let lists = reranking.rerank(queries, self.vectors())?;
                lists.into_iter().map(|list| list.into_iter().take(k).map(|(at, _)| at).collect()).collect()
            }
        };
        found.iter().enumerate().map(|(query, list)| self.answers_of(queries.row(query), list)).collect()
    }

    /// Rows in an order of their own, with their similarity to a query.
    fn answers_of(&self, query: &[f32], positions: &[usize]) -> Result<Vec<Answer<'_>>> {
        let one = Rows::trusted(query, self.width());
        let of = |&at: &usize| {
            let row = Rows::trusted(self.vectors().row(at), self.width());
            let near = one.top_k(row, self.measure(), 1, Exclude::Nothing)?;
            Ok(Answer { row: &self.rows[at], similarity: near.similarity(0).first().copied().unwrap_or(f32::NAN) })
        };
        positions.iter().map(of).collect()
    }

    pub(super) fn check_queries(&self, queries: Rows<f32>, k: usize) -> Result<()> {
        if queries.width() != self.width() || k == 0 {
            let why = format!(
                "k = {k} rows near queries of {} values; 1 or more near queries of {} are found",
                queries.width(),
                self.width()
            );
            return Err(Error::setting("search", why));
        }
        Ok(())
    }

    pub(super) fn answers(&self, list: &[(usize, f32)]) -> Vec<Answer<'_>> {
        list.iter().map(|&(at, similarity)| Answer { row: &self.rows[at], similarity }).collect()
    }

    /// Positions and similarity of the nearest of all.
    pub(super) fn nearest(&self, queries: Rows<f32>, k: usize) -> Result<Vec<Vec<(usize, f32)>>> {
        lists(queries, self.vectors(), self.measure(), k)
    }

    /// The same of some rows, which are copied together piece by piece.
    pub(super) fn nearest_of(
        &self,
        queries: Rows<f32>,
        k: usize,
        positions: &[usize],
    ) -> Result<Vec<Vec<(usize, f32)>>> {
        let mut best: Vec<Vec<(usize, f32)>> = vec![Vec::new(); queries.len()];
        for piece in positions.chunks(PIECE) {
            let values: Vec<f32> = piece.iter().flat_map(|&at| self.vectors().row(at)).copied().collect();
            let found = lists(queries, Rows::trusted(&values, self.width()), self.measure(), k)?;
            for (best, found) in best.iter_mut().zip(found) {
                best.extend(found.into_iter().map(|(at, similarity)| (piece[at], similarity)));
                keep_best(best, k);
            }
        }
        Ok(best)
    }
}

/// Nearest first, of equally near ones the earlier, at most k.
pub(super) fn keep_best(list: &mut Vec<(usize, f32)>, k: usize) {
    list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(k);
}

fn lists(
    queries: Rows<f32>,
    gallery: Rows<f32>,
    measure: npair_types::Measure,
    k: usize,
) -> Result<Vec<Vec<(usize, f32)>>> {
    if gallery.is_empty() {
        return Ok(vec![Vec::new(); queries.len()]);
    }
    let near = queries.top_k(gallery, measure, k, Exclude::Nothing)?;
    let list = |i: usize| {
        let similarity = near.similarity(i).iter().copied();
        near.indices(i).iter().map(|&at| at as usize).zip(similarity).collect()
    };
    Ok((0..near.len()).map(list).collect())
}

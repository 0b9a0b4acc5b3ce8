use crate::{Error, Mean, Result, Search};
use serde::Serialize;

/// Retrieval scores, means over the queries that have a positive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// recall@K: share of the queries with a positive among their K nearest; (K, score).
    pub recall_at: Vec<(usize, Mean)>,
    /// precision@1, which equals recall@1.
    pub precision_at_1: Mean,
    /// R-precision: positives among the R nearest, over R, the number of the query's positives.
    pub r_precision: Mean,
    /// MAP@R: `1/R sum_{i <= R} precision@i [i-th is a positive]`.
    pub map_at_r: Mean,
    /// MRR: one over the rank of the nearest positive.
    pub mrr: Mean,
    /// Queries that were scored.
    pub queries: usize,
    /// Queries left out because no other example is of their class.
    pub queries_without_a_positive: usize,
}

/// Retrieval scores at the given ranks.
///
/// # Units
/// All in [0, 1], larger is better.
///
/// # Numerics
/// Similarities in f64; equally near rows rank in the order of the gallery.
///
/// # Errors
/// [`Error::Setting`] if a K is 0 or beyond the gallery, [`Error::NoPositive`] if no query has a positive.
///
/// # Source
/// Recall@K: Song et al., CVPR 2016 (any of the K nearest). R-precision and MAP@R: Musgrave et al., ECCV 2020.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, Search, retrieval};
/// # use npair_types::{Labels, Measure};
/// // On a line: class 1 at 0, 1 and 4; class 2 at 3 and 9.
/// let set = Embeddings::new(&[0f64, 1., 4., 3., 9.], 1, Labels::new([1, 1, 1, 2, 2])?)?;
/// let scores = retrieval(&Search::within(&set, Measure::SquaredEuclidean), &[1, 2])?;
/// assert_eq!(scores.recall_at[0].1.value, 0.4); // only 0 and 1 find each other first
/// assert_eq!(scores.recall_at[1].1.value, 0.8); // 4 finds 1, and 9 finds 3, at rank 2; 3 finds 9 last
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn retrieval(search: &Search, ks: &[usize]) -> Result<Retrieval> {
    for &k in ks {
        search.expect_k("K of recall@K", k)?;
    }
    let positives = search.positives();
    let scored: Vec<usize> = (0..positives.len()).filter(|&i| positives[i] > 0).collect();
    let depth = ks.iter().copied().chain(positives.iter().copied()).max().unwrap_or(0).max(1);
    let near = search.top_k(depth)?;
    let (q, g) = (search.queries.labels(), search.gallery.labels());
    let mut recall = vec![Vec::with_capacity(scored.len()); ks.len()];
    let (mut first, mut r_precision, mut map) = (Vec::new(), Vec::new(), Vec::new());
    for &i in &scored {
        let hits: Vec<bool> = near.indices(i).iter().map(|&j| g.get(j as usize) == q.get(i)).collect();
        let found = hits.iter().position(|&h| h);
        for (scores, &k) in recall.iter_mut().zip(ks) {
            scores.push(f64::from(u8::from(found.is_some_and(|at| at < k))));
        }
        first.push(f64::from(u8::from(found == Some(0))));
        let r = positives[i];
        let (mut so_far, mut precisions) = (0usize, 0f64);
        for (rank, _) in hits.iter().take(r).enumerate().filter(|(_, hit)| **hit) {
            so_far += 1;
            precisions += so_far as f64 / (rank + 1) as f64;
        }
        r_precision.push(so_far as f64 / r as f64);
        map.push(precisions / r as f64);
    }
    let ranks = search.first_ranks()?;
    let reciprocal: Vec<f64> = ranks.into_iter().flatten().map(|rank| 1. / rank as f64).collect();
    let mean = |values: &[f64]| Mean::of(values).ok_or(Error::NoPositive { queries: positives.len() });
    Ok(Retrieval {
        recall_at: ks.iter().zip(&recall).map(|(&k, v)| Ok((k, mean(v)?))).collect::<Result<_>>()?,
        precision_at_1: mean(&first)?,
        r_precision: mean(&r_precision)?,
        map_at_r: mean(&map)?,
        mrr: mean(&reciprocal)?,
        queries: scored.len(),
        queries_without_a_positive: positives.len() - scored.len(),
    })
}

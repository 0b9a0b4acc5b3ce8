use crate::{Error, Mean, Result, Search};
use npair_types::ClassId;
use serde::Serialize;
use std::collections::BTreeMap;

/// Retrieval scores, means over the queries that have a positive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieval {
    /// recall@K: share of the queries with a positive among their K nearest; (K, score).
    pub recall_at: Vec<(usize, Mean)>,
    /// precision@K: positives among the K nearest, over K; (K, score).
    pub precision_at: Vec<(usize, Mean)>,
    /// nDCG@K: `sum_{i <= K} [i-th is a positive] / log2(i + 1)`, over what it is with all positives first; (K, score).
    pub ndcg_at: Vec<(usize, Mean)>,
    /// precision@1, which equals recall@1.
    pub precision_at_1: Mean,
    /// R-precision: positives among the R nearest, over R, the number of the query's positives.
    pub r_precision: Mean,
    /// MAP@R: `1/R sum_{i <= R} precision@i [i-th is a positive]`.
    pub map_at_r: Mean,
    /// MAP: the same over the whole ranking, `1/R sum_i precision@i [i-th is a positive]`.
    pub map: Mean,
    /// MRR: one over the rank of the nearest positive.
    pub mrr: Mean,
    /// Queries that were scored.
    pub queries: usize,
    /// Queries left out because no other example is of their class.
    pub queries_without_a_positive: usize,
}

/// The retrieval scores of one query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryScores {
    /// Its place among the queries.
    pub query: usize,
    /// Its number of positives, R.
    pub positives: usize,
    /// Positives among its K nearest, in the order of the Ks.
    pub hits_at: Vec<usize>,
    /// nDCG@K, in the order of the Ks.
    pub ndcg_at: Vec<f64>,
    /// Positives among the R nearest, over R.
    pub r_precision: f64,
    /// Average precision over the R nearest.
    pub ap_at_r: f64,
    /// Average precision over the whole ranking.
    pub ap: f64,
    /// Rank of the nearest positive, from 1 on.
    pub first: usize,
}

/// Retrieval scores at the given ranks.
///
/// # Units
/// All in [0, 1], larger is better.
///
/// # Numerics
/// Ranks are those of similarities in f64, whatever the type of the embeddings; equally near rows rank in the order of the
/// gallery. The matrix is streamed ([`Rows::map_class_ranks`](npair_similarity::Rows::map_class_ranks)); the same for any
/// number of threads.
///
/// # Errors
/// [`Error::Setting`] if a K is 0 or beyond the gallery, [`Error::NoPositive`] if no query has a positive.
///
/// # Source
/// Recall@K: Song et al., CVPR 2016 (any of the K nearest). R-precision and MAP@R: Musgrave et al., ECCV 2020. nDCG: Jarvelin and
/// Kekalainen, TOIS 2002, with gains 0 and 1.
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
    Retrieval::of(&query_scores(search, ks)?, ks, search.queries.len())
}

/// The same for every class of the queries by itself; classes without a query that has a positive are left out.
///
/// # Errors
/// As [`retrieval`].
pub fn retrieval_by_class(search: &Search, ks: &[usize]) -> Result<BTreeMap<ClassId, Retrieval>> {
    let labels = search.queries.labels();
    let mut counts = BTreeMap::<ClassId, usize>::new();
    labels.as_slice().iter().for_each(|&class| *counts.entry(class).or_default() += 1);
    let mut classes = BTreeMap::<ClassId, Vec<QueryScores>>::new();
    for query in query_scores(search, ks)? {
        classes.entry(labels.get(query.query)).or_default().push(query);
    }
    classes.into_iter().map(|(class, own)| Ok((class, Retrieval::of(&own, ks, counts[&class])?))).collect()
}

/// The scores of every query that has a positive: for the worst ones, and for intervals.
///
/// # Errors
/// As [`retrieval`].
pub fn query_scores(search: &Search, ks: &[usize]) -> Result<Vec<QueryScores>> {
    for &k in ks {
        search.expect_k("K of recall@K", k)?;
    }
    let positives = search.positives();
    if positives.iter().all(|&r| r == 0) {
        return Err(Error::NoPositive { queries: positives.len() });
    }
    let found = search.map_ranks(|query, ranks| (!ranks.is_empty()).then(|| one(query, ranks, ks)))?;
    Ok(found.into_iter().flatten().collect())
}

/// The scores of a query whose positives have these ranks.
fn one(query: usize, ranks: &[usize], ks: &[usize]) -> QueryScores {
    let r = ranks.len();
    let precision = |upto: usize| -> f64 {
        ranks.iter().enumerate().filter(|&(_, &rank)| rank <= upto).map(|(i, &rank)| (i + 1) as f64 / rank as f64).sum()
    };
    let gain = |rank: usize| 1. / ((rank + 1) as f64).log2();
    let ndcg = |&k: &usize| {
        let best: f64 = (1..=k.min(r)).map(gain).sum();
        ranks.iter().filter(|&&rank| rank <= k).map(|&rank| gain(rank)).sum::<f64>() / best
    };
    let hits = |k: usize| ranks.partition_point(|&rank| rank <= k);
    QueryScores {
        query,
        positives: r,
        hits_at: ks.iter().map(|&k| hits(k)).collect(),
        ndcg_at: ks.iter().map(ndcg).collect(),
        r_precision: hits(r) as f64 / r as f64,
        ap_at_r: precision(r) / r as f64,
        ap: precision(usize::MAX) / r as f64,
        first: ranks[0],
    }
}

impl Retrieval {
    /// The means of queries' scores: `ks` are those that the scores were asked for with, `queries` is the number of all queries, with
    /// or without a positive.
    ///
    /// # Errors
    /// [`Error::NoPositive`] of nothing.
    pub fn of(all: &[QueryScores], ks: &[usize], queries: usize) -> Result<Self> {
        let mean = |f: &dyn Fn(&QueryScores) -> f64| {
            Mean::of(&all.iter().map(f).collect::<Vec<_>>()).ok_or(Error::NoPositive { queries })
        };
        let at_ks = |f: &dyn Fn(&QueryScores, usize) -> f64| {
            ks.iter().enumerate().map(|(at, &k)| Ok((k, mean(&|q| f(q, at))?))).collect::<Result<Vec<_>>>()
        };
        Ok(Self {
            recall_at: at_ks(&|q, at| f64::from(u8::from(q.hits_at[at] > 0)))?,
            precision_at: at_ks(&|q, at| q.hits_at[at] as f64 / ks[at] as f64)?,
            ndcg_at: at_ks(&|q, at| q.ndcg_at[at])?,
            precision_at_1: mean(&|q| f64::from(u8::from(q.first == 1)))?,
            r_precision: mean(&|q| q.r_precision)?,
            map_at_r: mean(&|q| q.ap_at_r)?,
            map: mean(&|q| q.ap)?,
            mrr: mean(&|q| 1. / q.first as f64)?,
            queries: all.len(),
            queries_without_a_positive: queries - all.len(),
        })
    }
}

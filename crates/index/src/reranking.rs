use crate::{Error, Result};
use npair_similarity::{Exclude, PairwiseSimilarity, Rows};
use npair_types::Measure;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Re-ranking by k-reciprocal neighbours: of a query's candidates those come first whose neighbourhoods overlap with its own.
///
/// For each query it is computed among the query and its candidates alone, whatever else is in the gallery and whatever other
/// queries there are: memory and time are those of the squares of the candidates. With d(i, j) the squared distance of rows at unit
/// length, divided by the largest of row i:
///
/// ```text
/// R(i, k)   rows j among the k + 1 nearest of i (itself included) that have i among their own k + 1 nearest
/// R*(i)     R(i, k1), and R(j, k1 / 2) of each j of it that lies with more than two thirds inside R(i, k1)
/// V(i, j)   exp(-d(i, j)) over its sum for j in R*(i), else 0; then its mean over the k2 nearest rows of i
/// J(q, j)   1 - sum_l min(V(q, l), V(j, l)) / (2 - sum_l min(V(q, l), V(j, l)))
/// result    (1 - lambda) J(q, j) + lambda d(q, j), ascending
/// ```
/// # Source
/// Zhong, Zheng, Cao and Li, CVPR 2017; normalised as in their code.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reranking {
    /// Candidates of a query (the nearest rows by cosine); 0 stands for all.
    pub candidates: usize,
    /// Neighbours that are looked at.
    pub k1: usize,
    /// Neighbours whose V is averaged; 1 for none.
    pub k2: usize,
    /// Weight of the distance as it was, in [0, 1].
    pub lambda: f64,
}

impl Default for Reranking {
    /// The paper's 20, 6 and 0.3, among 200 candidates.
    fn default() -> Self {
        Self { candidates: 200, k1: 20, k2: 6, lambda: 0.3 }
    }
}

/// The most candidates of a query: their squares take half a gigabyte on each thread.
const MOST: usize = 4_096;

impl Reranking {
    /// Candidates of every query in their new order, as (row of the gallery, distance), nearest first; of equally near ones those that
    /// were nearer before.
    ///
    /// # Shapes
    /// `queries` (Q, D), `gallery` (G, D); Q lists.
    ///
    /// # Errors
    /// [`Error::Setting`] if `k1` or `k2` is 0, `lambda` is outside [0, 1], or there are more than 4,096 candidates; if widths differ.
    ///
    /// # Examples
    /// ```
    /// # use npair_index::Reranking;
    /// # use npair_similarity::Rows;
    /// let gallery = Rows::new(&[1f32, 0.1, 1., 0.2, 0., 1.], 2)?;
    /// let lists = Reranking { k1: 2, k2: 1, ..Reranking::default() }.rerank(Rows::new(&[1f32, 0.], 2)?, gallery)?;
    /// assert_eq!(lists[0].iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), npair_index::Error>(())
    /// ```
    pub fn rerank(&self, queries: Rows<f32>, gallery: Rows<f32>) -> Result<Vec<Vec<(usize, f64)>>> {
        let candidates = if self.candidates == 0 { gallery.len() } else { self.candidates.min(gallery.len()) };
        self.check(candidates)?;
        if candidates == 0 {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        let near = queries.top_k(gallery, Measure::Cosine, candidates, Exclude::Nothing)?;
        let of = |query: usize| {
            let rows: Vec<usize> = near.indices(query).iter().map(|&at| at as usize).collect();
            self.one(queries.row(query), &rows, gallery)
        };
        Ok((0..queries.len()).into_par_iter().map(of).collect())
    }

    fn check(&self, candidates: usize) -> Result<()> {
        if self.k1 == 0 || self.k2 == 0 || !(0. ..=1.).contains(&self.lambda) {
            let got = format!("{}, {} and {}", self.k1, self.k2, self.lambda);
            return Err(Error::setting(
                "re-ranking",
                format!("needs k1 and k2 of 1 or more and a lambda in [0, 1], not {got}"),
            ));
        }
        if candidates > MOST {
            let why = format!("{candidates} candidates of a query, but at most {MOST} are compared: set `candidates`");
            return Err(Error::setting("re-ranking", why));
        }
        Ok(())
    }

    /// A query's candidates, given from the nearest on.
    fn one(&self, query: &[f32], candidates: &[usize], gallery: Rows<f32>) -> Vec<(usize, f64)> {
        let rows = candidates.iter().flat_map(|&at| gallery.row(at));
        let values: Vec<f32> = query.iter().chain(rows).copied().collect();
        let hood = Hood::new(Rows::trusted(&values, gallery.width()));
        let weights = self.averaged(&hood, (0..hood.n).map(|i| self.weights(&hood, i)).collect());
        let distance = |j: usize| {
            let overlap: f64 = weights[0].iter().zip(&weights[j]).map(|(a, b)| a.min(*b)).sum();
            (1. - self.lambda) * (1. - overlap / (2. - overlap)) + self.lambda * hood.distance(0, j)
        };
        let mut list: Vec<(usize, f64)> =
            candidates.iter().enumerate().map(|(at, &row)| (row, distance(at + 1))).collect();
        list.sort_by(|a, b| a.1.total_cmp(&b.1));
        list
    }

    /// V before averaging, of row i.
    fn weights(&self, hood: &Hood, i: usize) -> Vec<f64> {
        let own = hood.reciprocal(i, self.k1);
        let mut wider = own.clone();
        for &j in &own {
            let others = hood.reciprocal(j, self.k1.div_ceil(2));
            let shared = others.iter().filter(|l| own.contains(l)).count();
            if 3 * shared > 2 * others.len() {
                wider.extend(others);
            }
        }
        wider.sort_unstable();
        wider.dedup();
        let mut weights = vec![0.; hood.n];
        wider.iter().for_each(|&j| weights[j] = (-hood.distance(i, j)).exp());
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        weights
    }

    /// V: the mean over the nearest rows.
    fn averaged(&self, hood: &Hood, weights: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let mean = |i: usize| {
            let near = &hood.order(i)[..self.k2.min(hood.n)];
            let sum = |l: usize| near.iter().map(|&j| weights[j as usize][l]).sum::<f64>();
            (0..hood.n).map(|l| sum(l) / near.len() as f64).collect()
        };
        (0..hood.n).map(mean).collect()
    }
}

/// A query and its candidates: all distances among them, and every row's order of the others.
struct Hood {
    n: usize,
    distances: Vec<f64>,
    order: Vec<u32>,
}

impl Hood {
    fn new(rows: Rows<f32>) -> Self {
        let (n, pairs) = (rows.len(), PairwiseSimilarity::new(rows, rows, Measure::Cosine));
        let (mut distances, mut order) = (Vec::with_capacity(n * n), Vec::with_capacity(n * n));
        for i in 0..n {
            // |a - b|^2 of rows at unit length; a row is at 0 from itself, even one that is zero.
            let of = |j: usize| if i == j { 0. } else { 2. - 2. * pairs.similarity(i, j) };
            let line: Vec<f64> = (0..n).map(of).collect();
            let most = line.iter().fold(0., |most: f64, d| most.max(*d));
            let line: Vec<f64> = line.iter().map(|d| if most > 0. { d / most } else { 0. }).collect();
            let mut own: Vec<u32> = (0..n as u32).collect();
            // Itself first, though copies of it are as near.
            let key = |j: u32| (j as usize != i, line[j as usize]);
            own.sort_by(|&a, &b| key(a).0.cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
            order.extend(own);
            distances.extend(line);
        }
        Self { n, distances, order }
    }

    fn distance(&self, i: usize, j: usize) -> f64 {
        self.distances[i * self.n + j]
    }

    /// All rows from the nearest of i on, itself first.
    fn order(&self, i: usize) -> &[u32] {
        &self.order[i * self.n..(i + 1) * self.n]
    }

    /// R(i, k).
    fn reciprocal(&self, i: usize, k: usize) -> Vec<usize> {
        let near = |i: usize| &self.order(i)[..(k + 1).min(self.n)];
        near(i).iter().map(|&j| j as usize).filter(|&j| near(j).contains(&(i as u32))).collect()
    }
}

use crate::{Embeddings, Error, Result};
use npair_similarity::{Exclude, Rows};
use npair_types::{ChaCha8Rng, Measure};
use rand::Rng;
use rand::seq::index::sample;

/// Where k-means starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// K random points, as in Song et al.'s evaluation.
    #[default]
    RandomPoints,
    /// k-means++ (Arthur and Vassilvitskii, SODA 2007): far points are more likely.
    PlusPlus,
}

/// Lloyd's k-means on squared distances, as Song et al.'s evaluation runs it: an emptied cluster's centre becomes the zero
/// vector, the nearest centre wins, the first of tied ones.
///
/// # Source
/// Song et al., CVPR 2016, evaluation code.
#[derive(Debug, Clone, Copy)]
pub struct KMeans {
    /// K.
    pub clusters: usize,
    /// Where it starts.
    pub start: Start,
    /// Stops after this many rounds at the latest.
    pub rounds: usize,
}

/// What k-means found.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// Cluster of every row.
    pub assignment: Vec<usize>,
    /// Sum of squared distances to the centres.
    pub sse: f64,
    /// Rounds until the sum no longer fell.
    pub rounds: usize,
}

impl KMeans {
    /// K clusters, Song et al.'s start and their limit of 1000 rounds.
    pub fn new(clusters: usize) -> Self {
        Self { clusters, start: Start::RandomPoints, rounds: 1000 }
    }

    /// Clusters of the rows of a set.
    ///
    /// # Numerics
    /// f64 throughout; stops when the sum of squares falls by less than 1e-12 of itself. The same for any number of threads.
    ///
    /// # Errors
    /// [`Error::Setting`] if K is 0 or above the number of rows.
    pub fn run(&self, set: &Embeddings, rng: &mut ChaCha8Rng) -> Result<Clusters> {
        let (rows, k) = (set.rows(), self.clusters);
        if k == 0 || k > rows.len() {
            let range = format!("from 1 to {}, the number of rows", rows.len());
            return Err(Error::Setting { what: "K, the number of clusters,", got: k, range });
        }
        let starts = match self.start {
            Start::RandomPoints => sample(rng, rows.len(), k).into_vec(),
            Start::PlusPlus => plus_plus(rows, k, rng),
        };
        let mut centres: Vec<f64> = starts.iter().flat_map(|&i| rows.row(i)).copied().collect();
        let mut found = assign(rows, &centres)?;
        for round in 1..=self.rounds {
            found.rounds = round;
            centres = means(rows, &found.assignment, k);
            let next = assign(rows, &centres)?;
            let fell = found.sse - next.sse;
            found = Clusters { rounds: round, ..next };
            if fell <= 1e-12 * found.sse {
                break;
            }
        }
        Ok(found)
    }
}

fn assign(rows: Rows<f64>, centres: &[f64]) -> Result<Clusters> {
    let near = rows.top_k(Rows::new(centres, rows.width())?, Measure::SquaredEuclidean, 1, Exclude::Nothing)?;
    let assignment = (0..rows.len()).map(|i| near.indices(i)[0] as usize).collect();
    let sse = (0..rows.len()).map(|i| -near.closeness(i)[0]).sum();
    Ok(Clusters { assignment, sse, rounds: 0 })
}

fn means(rows: Rows<f64>, assignment: &[usize], k: usize) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0f64; k * rows.width()], vec![0usize; k]);
    for (i, &cluster) in assignment.iter().enumerate() {
        counts[cluster] += 1;
        let sum = &mut sums[cluster * rows.width()..(cluster + 1) * rows.width()];
        sum.iter_mut().zip(rows.row(i)).for_each(|(s, v)| *s += v);
    }
    for (sum, &count) in sums.chunks_exact_mut(rows.width()).zip(&counts) {
        if count > 0 {
            sum.iter_mut().for_each(|s| *s /= count as f64);
        }
    }
    sums
}

fn plus_plus(rows: Rows<f64>, k: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut chosen = vec![rng.random_range(0..rows.len())];
    let mut far = vec![f64::INFINITY; rows.len()];
    while chosen.len() < k {
        let last = rows.row(chosen[chosen.len() - 1]);
        for (i, f) in far.iter_mut().enumerate() {
            let d = rows.row(i).iter().zip(last).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
            *f = f.min(d);
        }
        let total: f64 = far.iter().sum();
        let mut at = rng.random::<f64>() * total;
        let drawn = far.iter().position(|f| {
            at -= f;
            at < 0.
        });
        // All that is left coincides with a centre, or rounding used up the last sliver: the first one not chosen.
        let next = drawn.filter(|_| total > 0.).or_else(|| (0..rows.len()).find(|i| !chosen.contains(i)));
        chosen.extend(next);
    }
    chosen
}

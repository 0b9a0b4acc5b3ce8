mod lloyd;
mod start;

use crate::embeddings::AnyRows;
use crate::{Embeddings, Error, Result};
use lloyd::Lloyd;
use npair_similarity::{Element, Rows};
use npair_types::ChaCha8Rng;
pub use start::Start;

/// Lloyd's k-means on squared distances, as Song et al.'s evaluation runs it: an emptied cluster's centre becomes the zero
/// vector, the nearest centre wins, the first of tied ones.
///
/// # Source
/// Song et al., CVPR 2016, evaluation code. Only centres that moved are compared again, after Kaukoranta, Franti and Nevalainen,
/// IEEE TIP 2000: the result is that of comparing all.
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

/// How far k-means is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Its number: 0 is the assignment to the centres of the start.
    pub round: usize,
    /// Sum of squared distances to the centres.
    pub sse: f64,
    /// Rows that went to another cluster.
    pub moved: usize,
}

impl KMeans {
    /// K clusters, Song et al.'s start and their limit of 1000 rounds.
    pub fn new(clusters: usize) -> Self {
        Self { clusters, start: Start::RandomPoints, rounds: 1000 }
    }

    /// Clusters of the rows of a set.
    ///
    /// # Numerics
    /// Centres are means in f64 and as exact as the rows; a row's nearest centre and the sum of squares are those of distances
    /// in f64, whatever the type of the rows. Stops when the sum of squares falls by less than 1e-12 of itself. The same for
    /// any number of threads. Memory beside the set: the centres three times, and about 50 bytes for a row.
    ///
    /// # Errors
    /// [`Error::Setting`] if K is 0 or above the number of rows.
    pub fn run(&self, set: &Embeddings, rng: &mut ChaCha8Rng) -> Result<Clusters> {
        self.run_watched(set, rng, &mut |_| {})
    }

    /// The same, telling how far it is after every round.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # use npair_metrics::{Embeddings, KMeans};
    /// # use npair_types::{Labels, Purpose, Streams};
    /// let set = Embeddings::new(&[0f32, 1., 10., 11.], 1, Labels::new([1, 1, 2, 2])?)?;
    /// let (mut rng, mut last) = (Streams::new(0).open(Purpose::Evaluation, [0, 0]), None);
    /// let found = KMeans::new(2).run_watched(&set, &mut rng, &mut |round| last = Some(round))?;
    /// assert_eq!(last.map(|last| (last.sse, last.moved)), Some((found.sse, 0)));
    /// assert_eq!(found.sse, 1.); // four rows, each half a step from its centre
    /// # Ok::<(), npair_metrics::Error>(())
    /// ```
    pub fn run_watched(
        &self,
        set: &Embeddings,
        rng: &mut ChaCha8Rng,
        watch: &mut dyn FnMut(Round),
    ) -> Result<Clusters> {
        if self.clusters == 0 || self.clusters > set.len() {
            let range = format!("from 1 to {}, the number of rows", set.len());
            return Err(Error::Setting { what: "K, the number of clusters,", got: self.clusters, range });
        }
        if let AnyRows::Single(rows) = set.any_rows() {
            let mut tried = rng.clone();
            match self.of_rows(rows, &mut tried, watch) {
                // Lengths that f32 cannot square.
                Err(Error::Similarity(npair_similarity::Error::Overflow { .. })) => {}
                found => {
                    *rng = tried;
                    return found;
                }
            }
        }
        self.of_rows(Rows::trusted(&set.wide(), set.width()), rng, watch)
    }

    fn of_rows<T: Element>(
        &self,
        rows: Rows<T>,
        rng: &mut ChaCha8Rng,
        watch: &mut dyn FnMut(Round),
    ) -> Result<Clusters> {
        let mut state = Lloyd::new(rows, &self.start.rows(rows, self.clusters, rng))?;
        let mut sse = state.sse();
        watch(Round { round: 0, sse, moved: rows.len() });
        let mut rounds = 0;
        for round in 1..=self.rounds {
            rounds = round;
            let (before, moved) = (sse, state.step()?);
            sse = state.sse();
            watch(Round { round, sse, moved });
            if before - sse <= 1e-12 * before {
                break;
            }
        }
        Ok(Clusters { assignment: state.into_assignment(), sse, rounds })
    }
}

use crate::{Error, Result};
use std::ops::Range;

/// How a batch is cut: into parts that are worked out one by one, so that what comes of them does not depend on who does it.
///
/// ```
/// # use npair_collective::Shards;
/// let shards = Shards::new(4)?;
/// assert_eq!(shards.of_rank(0, 3), 0..1);
/// assert_eq!(shards.of_rank(2, 3), 2..4);
/// // Of ten examples the second part has the third to the fifth.
/// assert_eq!(shards.rows(1, 10), 2..5);
/// # Ok::<(), npair_collective::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards(usize);

impl Shards {
    /// So many parts.
    ///
    /// # Errors
    /// [`Error::Setting`] for none.
    pub fn new(shards: usize) -> Result<Self> {
        if shards == 0 {
            return Err(Error::Setting { setting: "shards", got: 0, why: "a batch has at least one part".to_owned() });
        }
        Ok(Self(shards))
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.0
    }

    /// An error unless every rank has a part.
    ///
    /// # Errors
    /// [`Error::Setting`] for more ranks than parts.
    pub fn check(self, ranks: usize) -> Result<()> {
        if ranks > self.0 {
            let why = format!("there are {} parts of a batch: take at least as many shards as ranks", self.0);
            return Err(Error::Setting { setting: "ranks", got: ranks, why });
        }
        Ok(())
    }

    /// The parts of a rank.
    pub fn of_rank(self, rank: usize, ranks: usize) -> Range<usize> {
        cut(rank, ranks, self.0)
    }

    /// The rows of a part of a batch of `batch` rows.
    pub fn rows(self, shard: usize, batch: usize) -> Range<usize> {
        cut(shard, self.0, batch)
    }

    /// The rows of a rank's parts.
    pub fn rows_of_rank(self, rank: usize, ranks: usize, batch: usize) -> Range<usize> {
        let shards = self.of_rank(rank, ranks);
        self.rows(shards.start, batch).start..self.rows(shards.end, batch).start
    }
}

/// Part `at` of `total` cut into `parts` of nearly the same length.
pub(crate) fn cut(at: usize, parts: usize, total: usize) -> Range<usize> {
    at * total / parts..(at + 1) * total / parts
}

use crate::Result;
use candle_core::Tensor;
use npair_types::{ChaCha8Rng, Labels, Triplets};

/// Chooses triplets of a batch.
pub trait TripletMiner: Send + Sync {
    /// Triplets of `embeddings` (B, D), whose rows have `labels` (B), ordered by anchor. The same seed gives the same
    /// triplets on any number of threads; miners without chance leave `rng` alone.
    ///
    /// # Errors
    /// If the labels do not fit, or an embedding or a product of two is not finite. That nothing qualifies is no error.
    fn triplets(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<MinedTriplets>;
}

/// Chooses pairs of a batch.
pub trait PairMiner: Send + Sync {
    /// Ordered pairs of `embeddings` (B, D), whose rows have `labels` (B).
    ///
    /// # Errors
    /// As [`TripletMiner::triplets`].
    fn pairs(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<MinedPairs>;
}

/// Triplets that a miner chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinedTriplets {
    /// Them, by ascending anchor; `None` if nothing qualified.
    pub triplets: Option<Triplets>,
    /// Rows of the batch that are the anchor of no triplet.
    pub without: usize,
}

/// Pairs that a miner chose, `[anchor, other]`, by ascending anchor; either list may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MinedPairs {
    /// Of one class.
    pub positives: Vec<[usize; 2]>,
    /// Of two classes.
    pub negatives: Vec<[usize; 2]>,
    /// Rows of the batch that are the anchor of no pair.
    pub without: usize,
}

impl MinedTriplets {
    /// From the pairs (positive, negative) of every anchor.
    pub(crate) fn of_anchors(anchors: Vec<Vec<[usize; 2]>>, labels: &Labels) -> Result<Self> {
        let without = anchors.iter().filter(|of| of.is_empty()).count();
        let rows: Vec<[usize; 3]> =
            anchors.iter().enumerate().flat_map(|(a, of)| of.iter().map(move |&[p, n]| [a, p, n])).collect();
        let triplets = if rows.is_empty() { None } else { Some(Triplets::new(&rows, labels)?) };
        Ok(Self { triplets, without })
    }

    /// Number of triplets.
    pub fn len(&self) -> usize {
        self.triplets.as_ref().map_or(0, Triplets::len)
    }

    /// Whether nothing qualified.
    pub fn is_empty(&self) -> bool {
        self.triplets.is_none()
    }

    /// The pairs of the triplets, each once: what a loss of pairs takes.
    ///
    /// ```
    /// # use npair_batch::MinedTriplets;
    /// # use npair_types::{Labels, Triplets};
    /// let triplets = Triplets::new(&[[0, 1, 2], [0, 1, 3]], &Labels::new([1, 1, 2, 2])?)?;
    /// let pairs = MinedTriplets { triplets: Some(triplets), without: 3 }.pairs();
    /// assert_eq!((pairs.positives, pairs.negatives), (vec![[0, 1]], vec![[0, 2], [0, 3]]));
    /// # Ok::<(), npair_types::Error>(())
    /// ```
    pub fn pairs(&self) -> MinedPairs {
        let of = |others: fn(&Triplets) -> &[usize]| {
            let Some(t) = &self.triplets else { return Vec::new() };
            let mut pairs: Vec<[usize; 2]> = t.anchors().iter().zip(others(t)).map(|(&a, &o)| [a, o]).collect();
            pairs.sort_unstable();
            pairs.dedup();
            pairs
        };
        MinedPairs { positives: of(Triplets::positives), negatives: of(Triplets::negatives), without: self.without }
    }
}

use super::anchor::{Anchor, PerAnchor, at_least_one, best, per_anchor};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure, TupleKind};

/// The hardest triplets of every anchor: those with the largest `s_an - s_ap`. One per anchor is batch-hard mining.
///
/// # Numerics
/// Exact without looking at every triplet: those of the k farthest positives and the k nearest negatives have the k hardest
/// among them, so an anchor takes O(B + k^2).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{Hardest, TupleMiner};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let x = Tensor::new(&[[0f32], [1.], [3.], [4.], [9.]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let miner = Hardest::new(2, Measure::SquaredEuclidean)?;
/// let triplets = miner.mine(&x, &Labels::new([1, 1, 1, 2, 2])?, rng)?;
/// let triplets = triplets.as_triplets().unwrap();
/// // Anchor 0: positives at 1 and 9, negatives at 16 and 81: 9 - 16, 1 - 16.
/// assert_eq!([triplets.rows(0), triplets.rows(1)], [[0, 1, 3], [0, 2, 3]]);
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Hardest {
    per_anchor: usize,
    measure: Measure,
}

impl Hardest {
    /// With k >= 1 triplets per anchor, or as many as there are.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for none.
    pub fn new(per_anchor: usize, measure: Measure) -> Result<Self> {
        Ok(Self { per_anchor: at_least_one(per_anchor)?, measure })
    }
}

impl PerAnchor for Hardest {
    type Chosen = Vec<[usize; 2]>;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen {
        let far = best(anchor.positives().map(|p| (-anchor.similarity[p].wide(), p)).collect(), self.per_anchor);
        let near = best(anchor.negatives().map(|n| (anchor.similarity[n].wide(), n)).collect(), self.per_anchor);
        let all = far.iter().flat_map(|&p| near.iter().map(move |&n| (anchor.hardness(p, n), [p, n])));
        best(all.collect(), self.per_anchor)
    }
}

npair_types::settings! {
    /// The hardest triplets of every anchor.
    pub struct HardestSettings {
        /// Triplets per anchor, at least 1.
        per_anchor: usize = 4,
        /// The measure that compares embeddings.
        measure: Measure = Measure::SquaredEuclidean,
    }
}

impl TupleMinerSettings for HardestSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(Hardest::new(self.per_anchor, self.measure)?))
    }
}

impl TupleMiner for Hardest {
    fn name(&self) -> &str {
        "miner of the hardest triplets"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
        Mined::of_anchors(per_anchor(self, embeddings, labels, self.measure)?, labels)
    }
}

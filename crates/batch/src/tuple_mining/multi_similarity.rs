use super::anchor::{Anchor, PerAnchor, at_least_one, best, from_zero, per_anchor};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure, PairList, TupleKind};

/// Multi-similarity mining: negatives nearer than the farthest positive, positives farther than the nearest negative, either
/// by less than a margin.
///
/// ```text
/// (i, n) if  s_in > min_p s_ip - e,    (i, p) if  s_ip < max_n s_in + e
/// ```
/// A row without positives or without negatives has nothing to compare and gives no pair.
///
/// # Units
/// s is the cosine, as in the paper.
///
/// # Source
/// Wang et al., CVPR 2019 (arXiv 1904.06627), equations 6 and 7.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{MultiSimilarityMiner, TupleMiner};
/// # use npair_types::{Labels, Purpose, Streams};
/// let x = Tensor::new(&[[1f32, 0.], [0.6, 0.8], [0.8, 0.6], [-1., 0.]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let mined = MultiSimilarityMiner::new(0.1, 10)?.mine(&x, &Labels::new([1, 1, 2, 3])?, rng)?;
/// // Row 0: the positive at 0.6, negatives at 0.8 and -1. Row 1: the positive at 0.6, negatives at 0.96 and -0.6.
/// let list = mined.as_pairs().unwrap();
/// assert_eq!(list.negatives(), [[0, 2], [1, 2]]);
/// assert_eq!(list.positives(), [[0, 1], [1, 0]]);
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MultiSimilarityMiner {
    epsilon: f64,
    cap: usize,
}

impl MultiSimilarityMiner {
    /// With margin e >= 0 and at most `cap` positives and `cap` negatives per row: the farthest and the nearest.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for a margin out of range, [`Error::Setting`](crate::Error::Setting) for a cap
    /// of 0.
    pub fn new(epsilon: f64, cap: usize) -> Result<Self> {
        Ok(Self { epsilon: from_zero("epsilon", epsilon)?, cap: at_least_one(cap)? })
    }
}

impl PerAnchor for MultiSimilarityMiner {
    type Chosen = [Vec<usize>; 2];

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen {
        let at = |j: usize| anchor.similarity[j].wide();
        let nearest = anchor.nearest_negative(&mut Vec::new());
        let (Some(far), Some(near)) = (anchor.farthest(anchor.positives()), nearest) else {
            return [Vec::new(), Vec::new()];
        };
        let (far, near) = (at(far) - self.epsilon, at(near) + self.epsilon);
        let positives = anchor.positives().filter(|&p| at(p) < near).map(|p| (-at(p), p));
        let negatives = anchor.negatives().filter(|&n| at(n) > far).map(|n| (at(n), n));
        [best(positives.collect(), self.cap), best(negatives.collect(), self.cap)]
    }
}

npair_types::settings! {
    /// Pairs beyond the hardest of the other kind.
    pub struct MultiSimilarityMinerSettings {
        /// Margin e of cosines, from 0.
        epsilon: f64 = 0.1,
        /// Most pairs per anchor, of either kind, at least 1.
        per_anchor: usize = 100,
    }
}

impl TupleMinerSettings for MultiSimilarityMinerSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(MultiSimilarityMiner::new(self.epsilon, self.per_anchor)?))
    }
}

impl TupleMiner for MultiSimilarityMiner {
    fn name(&self) -> &str {
        "multi-similarity miner"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::PairList
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
        let anchors = per_anchor(self, embeddings, labels, Measure::Cosine)?;
        let list = |kind: usize| -> Vec<[usize; 2]> {
            anchors.iter().enumerate().flat_map(|(i, of)| of[kind].iter().map(move |&j| [i, j])).collect()
        };
        Ok(Mined::pairs(PairList::new(list(0), list(1), labels)?, labels))
    }
}

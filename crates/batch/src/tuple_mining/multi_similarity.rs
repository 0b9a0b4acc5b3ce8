use super::anchor::{Anchor, PerAnchor, at_least_one, best, from_zero, per_anchor};
use super::{MinedPairs, PairMiner};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure};

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
/// # use npair_batch::{MultiSimilarityMiner, PairMiner};
/// # use npair_types::{Labels, Purpose, Streams};
/// let x = Tensor::new(&[[1f32, 0.], [0.6, 0.8], [0.8, 0.6], [-1., 0.]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let mined = MultiSimilarityMiner::new(0.1, 10)?.pairs(&x, &Labels::new([1, 1, 2, 3])?, rng)?;
/// // Row 0: the positive at 0.6, negatives at 0.8 and -1. Row 1: the positive at 0.6, negatives at 0.96 and -0.6.
/// assert_eq!(mined.negatives, [[0, 2], [1, 2]]);
/// assert_eq!(mined.positives, [[0, 1], [1, 0]]);
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
    type Found = [Vec<usize>; 2];

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Found {
        let at = |j: usize| anchor.closeness[j].wide();
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

impl PairMiner for MultiSimilarityMiner {
    fn pairs(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<MinedPairs> {
        let anchors = per_anchor(self, embeddings, labels, Measure::Cosine)?;
        let list = |kind: usize| -> Vec<[usize; 2]> {
            anchors.iter().enumerate().flat_map(|(i, of)| of[kind].iter().map(move |&j| [i, j])).collect()
        };
        let without = anchors.iter().filter(|[p, n]| p.is_empty() && n.is_empty()).count();
        Ok(MinedPairs { positives: list(0), negatives: list(1), without })
    }
}

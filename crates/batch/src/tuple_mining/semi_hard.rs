use super::anchor::{Anchor, PerAnchor, at_least_one, best, from_zero, per_anchor};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure, TupleKind};

/// Semi-hard mining: every anchor and positive with the nearest negative that is farther than the positive, if it is so by
/// less than the margin.
///
/// ```text
/// n = argmax { s_an : s_an < s_ap },   kept if  s_an > s_ap - m
/// ```
/// s is similarity: with [`Measure::SquaredEuclidean`] the margin is one of squared distances, as in the paper.
///
/// # Source
/// Schroff et al., CVPR 2015 (arXiv 1503.03832), equation 4.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{SemiHard, TupleMiner};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let x = Tensor::new(&[[0f32], [2.], [1.], [3.], [9.]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let mined = SemiHard::new(6., Measure::SquaredEuclidean, 10)?.mine(&x, &Labels::new([1, 1, 2, 2, 3])?, rng)?;
/// // Of anchor 0: positive at 4, negatives at 1, 9, 81. Of 3: positive at 4, negatives at 1, 9, 36.
/// assert_eq!(mined.as_triplets().unwrap().rows(0), [0, 1, 3]);
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SemiHard {
    margin: f64,
    measure: Measure,
    cap: usize,
}

impl SemiHard {
    /// With margin m >= 0 and at most `cap` triplets per anchor, the hardest ones (the largest `s_an - s_ap`).
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for a margin out of range, [`Error::Setting`](crate::Error::Setting) for a cap
    /// of 0.
    pub fn new(margin: f64, measure: Measure, cap: usize) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)?, measure, cap: at_least_one(cap)? })
    }
}

impl PerAnchor for SemiHard {
    type Chosen = Vec<[usize; 2]>;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen {
        let with = anchor.positives().filter_map(|p| {
            let n = anchor.nearest(anchor.negatives().filter(|&n| anchor.similarity[n] < anchor.similarity[p]))?;
            let hardness = anchor.hardness(p, n);
            (hardness > -self.margin).then_some((hardness, [p, n]))
        });
        best(with.collect(), self.cap)
    }
}

npair_types::settings! {
    /// For every positive the nearest negative that is farther, within a margin.
    pub struct SemiHardSettings {
        /// Margin m, from 0.
        margin: f64 = 0.2,
        /// The measure that compares embeddings.
        measure: Measure = Measure::SquaredEuclidean,
        /// Most triplets per anchor, at least 1.
        per_anchor: usize = 100,
    }
}

impl TupleMinerSettings for SemiHardSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(SemiHard::new(self.margin, self.measure, self.per_anchor)?))
    }
}

impl TupleMiner for SemiHard {
    fn name(&self) -> &str {
        "semi-hard miner"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
        Mined::of_anchors(per_anchor(self, embeddings, labels, self.measure)?, labels)
    }
}

use super::anchor::{Anchor, PerAnchor, per_anchor};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure, TupleKind};
use serde::{Deserialize, Serialize};

/// Which negative is put beside the easy positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negative {
    /// The nearest.
    Hard,
    /// The nearest that is farther than the positive: the paper's best.
    #[default]
    SemiHard,
    /// The farthest.
    Easy,
}

/// Easy-positive mining: every anchor with its nearest positive, so that a class need not be drawn into one point; at most B
/// triplets.
///
/// # Source
/// Xuan et al., WACV 2020 (arXiv 1904.04370).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{EasyPositive, Negative, TupleMiner};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let x = Tensor::new(&[[0f32], [2.], [7.], [1.], [3.], [9.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 1, 2, 3, 4])?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// for (negative, n) in [(Negative::Hard, 3), (Negative::SemiHard, 4), (Negative::Easy, 5)] {
///     let miner = EasyPositive { negative, measure: Measure::SquaredEuclidean };
///     assert_eq!(miner.mine(&x, &labels, rng)?.as_triplets().unwrap().rows(0), [0, 1, n]);
/// }
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct EasyPositive {
    /// The negative beside it.
    pub negative: Negative,
    /// The measure that compares embeddings.
    pub measure: Measure,
}

impl PerAnchor for EasyPositive {
    type Chosen = Vec<[usize; 2]>;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen {
        let with = anchor.nearest(anchor.positives()).and_then(|p| {
            let negatives = anchor.negatives();
            let n = match self.negative {
                Negative::Hard => anchor.nearest_negative(&mut Vec::new()),
                Negative::SemiHard => {
                    anchor.nearest(negatives.filter(|&n| anchor.similarity[n] < anchor.similarity[p]))
                }
                Negative::Easy => anchor.farthest(negatives),
            };
            Some([p, n?])
        });
        with.into_iter().collect()
    }
}

npair_types::settings! {
    /// The nearest positive of every anchor.
    pub struct EasyPositiveSettings {
        /// The negative beside it.
        negative: Negative = Negative::SemiHard,
        /// The measure that compares embeddings.
        measure: Measure = Measure::SquaredEuclidean,
    }
}

impl TupleMinerSettings for EasyPositiveSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(EasyPositive { negative: self.negative, measure: self.measure }))
    }
}

impl TupleMiner for EasyPositive {
    fn name(&self) -> &str {
        "easy-positive miner"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
        Mined::of_anchors(per_anchor(self, embeddings, labels, self.measure)?, labels)
    }
}

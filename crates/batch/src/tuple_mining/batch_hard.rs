use super::anchor::{Anchor, PerAnchor, per_anchor};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure, TupleKind};

/// Batch-hard mining: every anchor with its farthest positive and its nearest negative; at most B triplets. For the loss of
/// exactly these there is a faster way, which keeps no list: `TripletBatchHard` of npair-losses.
///
/// # Source
/// Hermans et al., 2017 (arXiv 1703.07737), equation 5.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{BatchHard, TupleMiner};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let x = Tensor::new(&[[0f32], [1.], [3.], [3.5]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let miner = BatchHard { measure: Measure::SquaredEuclidean };
/// let mined = miner.mine(&x, &Labels::new([1, 1, 1, 2])?, rng)?;
/// let triplets = mined.as_triplets().unwrap();
/// assert_eq!((triplets.rows(0), triplets.rows(1)), ([0, 2, 3], [1, 2, 3]));
/// assert_eq!(mined.without, 1); // row 3 is alone in its class
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchHard {
    /// The measure that compares embeddings.
    pub measure: Measure,
}

impl PerAnchor for BatchHard {
    type Chosen = Vec<[usize; 2]>;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen {
        let positive = anchor.farthest(anchor.positives());
        let both = positive.and_then(|p| Some([p, anchor.nearest_negative(&mut Vec::new())?]));
        both.into_iter().collect()
    }
}

npair_types::settings! {
    /// The farthest positive and the nearest negative of every anchor.
    pub struct BatchHardSettings {
        /// The measure that compares embeddings.
        measure: Measure = Measure::SquaredEuclidean,
    }
}

impl TupleMinerSettings for BatchHardSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(BatchHard { measure: self.measure }))
    }
}

impl TupleMiner for BatchHard {
    fn name(&self) -> &str {
        "batch-hard miner"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
        Mined::of_anchors(per_anchor(self, embeddings, labels, self.measure)?, labels)
    }
}

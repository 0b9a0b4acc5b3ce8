use super::anchor::{Anchor, PerAnchor, per_anchor};
use super::{MinedTriplets, TripletMiner};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure};

/// Batch-hard mining: every anchor with its farthest positive and its nearest negative; at most B triplets. For the loss of
/// exactly these there is a faster way, which keeps no list: `TripletBatchHard` of npair-losses.
///
/// # Source
/// Hermans et al., 2017 (arXiv 1703.07737), equation 5.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{BatchHard, TripletMiner};
/// # use npair_types::{Labels, Measure, Purpose, Streams};
/// let x = Tensor::new(&[[0f32], [1.], [3.], [3.5]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let miner = BatchHard { measure: Measure::SquaredEuclidean };
/// let mined = miner.triplets(&x, &Labels::new([1, 1, 1, 2])?, rng)?;
/// let triplets = mined.triplets.unwrap();
/// assert_eq!((triplets.rows(0), triplets.rows(1)), ([0, 2, 3], [1, 2, 3]));
/// assert_eq!(mined.without, 1); // row 3 is alone in its class
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchHard {
    /// What compares embeddings.
    pub measure: Measure,
}

impl PerAnchor for BatchHard {
    type Found = Vec<[usize; 2]>;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Found {
        let positive = anchor.farthest(anchor.positives());
        let both = positive.and_then(|p| Some([p, anchor.nearest_negative(&mut Vec::new())?]));
        both.into_iter().collect()
    }
}

impl TripletMiner for BatchHard {
    fn triplets(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<MinedTriplets> {
        MinedTriplets::of_anchors(per_anchor(self, embeddings, labels, self.measure)?, labels)
    }
}

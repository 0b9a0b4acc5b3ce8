use super::anchor::{at_least_one, checked, members, to_f32};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_types::{ChaCha8Rng, Labels, TupleKind};
use rand::seq::index;

/// All triplets, or a random choice of them for every anchor that has more than the cap. What the embeddings are does not
/// matter.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{AllTriplets, TupleMiner};
/// # use npair_types::{Labels, Purpose, Streams};
/// let x = Tensor::zeros((5, 2), candle_core::DType::F32, &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 2, 2, 2])?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// // Anchors of class 1: 1 positive x 3 negatives; of class 2: 2 x 2.
/// assert_eq!(AllTriplets::new(100)?.mine(&x, &labels, rng)?.len(), 2 * 3 + 3 * 4);
/// assert_eq!(AllTriplets::new(2)?.mine(&x, &labels, rng)?.len(), 5 * 2);
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AllTriplets {
    cap: usize,
}

impl AllTriplets {
    /// With at most `cap` triplets per anchor.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for a cap of 0.
    pub fn new(cap: usize) -> Result<Self> {
        Ok(Self { cap: at_least_one(cap)? })
    }
}

npair_types::settings! {
    /// All triplets, or a random choice of them.
    pub struct AllTripletsSettings {
        /// Most triplets per anchor, at least 1.
        per_anchor: usize = 100,
    }
}

impl TupleMinerSettings for AllTripletsSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(AllTriplets::new(self.per_anchor)?))
    }
}

impl TupleMiner for AllTriplets {
    fn name(&self) -> &str {
        "all triplets"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<Mined> {
        checked::<f32>(&to_f32(embeddings)?, labels)?;
        let (places, members) = members(labels);
        let of_anchor = |a: usize| -> Vec<[usize; 2]> {
            let own = &members[places[a]];
            let positives: Vec<usize> = own.iter().copied().filter(|&p| p != a).collect();
            let negatives: Vec<usize> = (0..labels.len()).filter(|&n| places[n] != places[a]).collect();
            let all = positives.len() * negatives.len();
            let at = |i: usize| [positives[i / negatives.len()], negatives[i % negatives.len()]];
            if all <= self.cap {
                return (0..all).map(at).collect();
            }
            let mut chosen = index::sample(rng, all, self.cap).into_vec();
            chosen.sort_unstable();
            chosen.into_iter().map(at).collect()
        };
        Mined::of_anchors((0..labels.len()).map(of_anchor).collect(), labels)
    }
}

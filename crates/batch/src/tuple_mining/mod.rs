//! Tuple mining: which tuples of a batch a loss should look at, from the embeddings of the batch; indices only. They are chosen on
//! the host: embeddings on a device are read, once.

mod all_triplets;
mod anchor;
mod angular;
mod batch_hard;
mod distance_weighted;
mod easy_positive;
mod hardest;
mod mined;
mod multi_similarity;
mod semi_hard;

pub(crate) use anchor::to_f32;

pub use all_triplets::{AllTriplets, AllTripletsSettings};
pub use angular::{AngularMiner, AngularMinerSettings};
pub use batch_hard::{BatchHard, BatchHardSettings};
pub use distance_weighted::{DistanceWeighted, DistanceWeightedSettings};
pub use easy_positive::{EasyPositive, EasyPositiveSettings, Negative};
pub use hardest::{Hardest, HardestSettings};
pub use mined::{Mined, TupleMiner, TupleMinerSettings};
pub use multi_similarity::{MultiSimilarityMiner, MultiSimilarityMinerSettings};
pub use semi_hard::{SemiHard, SemiHardSettings};

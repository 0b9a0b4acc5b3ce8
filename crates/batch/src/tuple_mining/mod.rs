//! Which tuples of a batch a loss should look at, from the embeddings of the batch: indices only. They are chosen on the host:
//! embeddings on a device are read, once.

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

pub use all_triplets::AllTriplets;
pub use angular::AngularMiner;
pub use batch_hard::BatchHard;
pub use distance_weighted::DistanceWeighted;
pub use easy_positive::{EasyPositive, Negative};
pub use hardest::Hardest;
pub use mined::{MinedPairs, MinedTriplets, PairMiner, TripletMiner};
pub use multi_similarity::MultiSimilarityMiner;
pub use semi_hard::SemiHard;

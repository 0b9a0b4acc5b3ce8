//! Samplers: which examples form a batch, and what they are to each other.

mod balanced;
pub(crate) mod cyclic;
mod n_pair;
mod plan;
mod shared_labels;
pub(crate) mod tempered;
mod triplet;
mod tuplet;

pub use balanced::{BalancedSampler, BalancedSamplerSettings};
pub use n_pair::{NPairSampler, NPairSamplerSettings};
pub use plan::{BatchPlan, BatchSampler, SamplerSettings};
pub use shared_labels::LabelSampler;
pub use triplet::{TripletSampler, TripletSamplerSettings};
pub use tuplet::{TupletSampler, TupletSamplerSettings};

//! Losses of N pairs: every query against the positives, or all rows, of all other classes at once.

pub(crate) mod against_negatives;
mod multi_positive_n_pair;
mod n_pair_mc;
mod n_pair_ovo;
mod shared;
mod symmetric_n_pair_mc;

pub use multi_positive_n_pair::{MultiPositiveNPair, MultiPositiveNPairSettings};
pub use n_pair_mc::{NPairMc, NPairMcSettings};
pub use n_pair_ovo::{NPairOvo, NPairOvoSettings};
pub use shared::{PairLossOnRanks, SharedLoss, SharedPairs};
pub use symmetric_n_pair_mc::{SymmetricNPairMc, SymmetricNPairMcSettings};

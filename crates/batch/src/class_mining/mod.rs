//! Negative class mining: which classes meet in a batch, decided before the batch exists.

mod choice;
mod greedy;
mod grouped;
mod mined;
mod miner;
mod prototypes;

pub(crate) use choice::{ClassChoice, SavedChoice};
pub use greedy::{GreedyMiner, GreedyMiningSettings, Violation};
pub use grouped::Groups;
pub(crate) use mined::MinedClasses;
pub use mined::{CandidateSets, Candidates};
pub use miner::{ChosenClasses, ClassMiner};
pub use prototypes::Prototypes;

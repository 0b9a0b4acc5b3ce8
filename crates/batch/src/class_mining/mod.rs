//! Negative class mining: which classes meet in a batch, decided before the batch exists.

mod choice;
mod greedy;
mod grouped;
mod mined;
mod prototypes;

pub(crate) use choice::ClassChoice;
pub use greedy::{ClassMiner, GreedyMiner, Mined, Violation};
pub use grouped::Groups;
pub use mined::{Candidates, MinedClasses, Mining};
pub use prototypes::Prototypes;

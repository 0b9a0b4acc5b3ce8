use super::Choice;
use crate::registry::Miners;

/// Which tuples of a batch the loss looks at, by the miner's name in its row of the [`registry`](crate::registry).
pub type MinerConfig = Choice<Miners>;

use crate::Result;
use npair_nn::{GemPool, GlobalAvgPool, Layer, Node, Tape, VarBuilder};
use serde::{Deserialize, Serialize};

/// How the last map becomes features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the map, as the networks were published.
    #[default]
    Mean,
    /// The generalized mean with a learned exponent that begins at 3 (Radenovic et al., TPAMI 2018): one more
    /// parameter, `pool.p`, that published weights do not have.
    Gem,
}

/// (B, H, W, C) to (B, C).
#[derive(Debug)]
pub(crate) enum Pool {
    Mean,
    Gem(GemPool),
}

impl Pool {
    pub(crate) fn new(vb: &VarBuilder, pooling: Pooling) -> Result<Self> {
        Ok(match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Gem => Self::Gem(GemPool::new(&vb.pp("pool"), 3., 1e-6)?),
        })
    }

    pub(crate) fn record(&self, map: &Node, tape: &mut Tape) -> Result<Node> {
        Ok(match self {
            Self::Mean => GlobalAvgPool.record(map, tape)?,
            Self::Gem(pool) => pool.record(map, tape)?,
        })
    }
}

use crate::Result;
use npair_nn::{GemPool, GlobalAvgPool, Layer, Pass, Path, Value};
use serde::{Deserialize, Serialize};

/// How the last map becomes features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the map, as the networks were published.
    #[default]
    Mean,
    /// The generalised mean with a learned exponent that begins at 3 (Radenovic et al., TPAMI 2018): one more
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
    pub(crate) fn new(path: &Path, pooling: Pooling) -> Result<Self> {
        Ok(match pooling {
            Pooling::Mean => Self::Mean,
            Pooling::Gem => Self::Gem(GemPool::new(&path.child("pool"), 3., 1e-6)?),
        })
    }

    pub(crate) fn forward(&self, map: &Value, pass: &mut Pass) -> Result<Value> {
        Ok(match self {
            Self::Mean => GlobalAvgPool.forward(map, pass)?,
            Self::Gem(pool) => pool.forward(map, pass)?,
        })
    }
}

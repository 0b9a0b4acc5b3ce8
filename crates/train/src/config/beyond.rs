//! What goes beyond the loss of a batch: a memory, and regularisers.

use serde::{Deserialize, Serialize};

/// Cross-batch memory: the embeddings of the last batches as further rows to compare a batch with; see
/// [`npair_losses::CrossBatchMemory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Most rows that are remembered; 0 for none.
    pub size: usize,
    /// Steps during which the memory is idle, while embeddings still move fast.
    pub start_step: u64,
}

/// A regulariser and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RegulariserConfig {
    /// What it is multiplied by.
    pub weight: f64,
    /// What it is taken of.
    #[serde(default)]
    pub of: RowsOf,
    /// Which one, and its settings.
    #[serde(flatten)]
    pub kind: RegulariserName,
}

/// The rows that a regulariser is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowsOf {
    /// The embeddings of the batch.
    #[default]
    Embeddings,
    /// What the loss has for every class: weights, proxies, centres.
    Classes,
}

/// Which regulariser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RegulariserName {
    /// Mean of the norms.
    LpNorm {
        /// The norm's exponent; 2.
        #[serde(default = "two")]
        p: f64,
    },
    /// Equal norms.
    CentreInvariant {},
    /// Entries of a row with the mean 0.
    ZeroMean {},
    /// Directions away from their nearest (Zhao et al., 2019).
    RegularFace {},
    /// The centres of a class together (Qian et al., 2019).
    SparseCentres {
        /// Centres of a class.
        centres: usize,
    },
    /// Spread, by the nearest other row (Sablayrolles et al., 2019).
    KoLeo {},
    /// Spread, by all other rows (Wang and Isola, 2020).
    Uniformity {
        /// Sharpness; 2.
        #[serde(default = "two")]
        t: f64,
    },
}

fn two() -> f64 {
    2.
}

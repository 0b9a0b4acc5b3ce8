//! What goes beyond the loss of a batch: a memory, and regularizers.

use super::Choice;
use crate::registry::Regularizers;
use npair_train::RowsOf;
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

/// A regularizer and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegularizerConfig {
    /// What it is multiplied by.
    pub weight: f64,
    /// What it is taken of.
    #[serde(default)]
    pub of: RegularizedRows,
    /// Which one, and its settings.
    #[serde(flatten)]
    pub kind: Choice<Regularizers>,
}

/// The rows that a regularizer is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegularizedRows {
    /// The embeddings of the batch.
    #[default]
    Embeddings,
    /// What the loss has for every class: weights, proxies, centers.
    Classes,
}

impl From<RegularizedRows> for RowsOf {
    fn from(rows: RegularizedRows) -> Self {
        match rows {
            RegularizedRows::Embeddings => Self::Embeddings,
            RegularizedRows::Classes => Self::Classes,
        }
    }
}

use npair_types::Measure;
use serde::{Deserialize, Serialize};

/// How embeddings are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// `cosine` as the paper's verification, `dot`, or `squared-euclidean`.
    pub measure: Measure,
    /// K of recall@K; those beyond the gallery are left out.
    pub recall_at: Vec<usize>,
    /// Numbers of negatives of VRF; 0 stands for N - 1.
    pub vrf: Vec<usize>,
    /// VRF trials per query.
    pub vrf_trials: usize,
    /// k of the kNN classifier.
    pub knn: usize,
    /// k-means runs for NMI and F1; 0 for none.
    pub k_means_runs: usize,
    /// Most pairs for EER and TAR@FAR.
    pub pairs: usize,
    /// Batches of pairs on which the N-pair loss is probed.
    pub probe_batches: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            measure: Measure::Cosine,
            recall_at: vec![1, 2, 4, 8, 10, 100],
            vrf: vec![1, 0],
            vrf_trials: 5,
            knn: 1,
            k_means_runs: 3,
            pairs: 2_000_000,
            probe_batches: 4,
        }
    }
}

/// Test-time augmentation; see [`TestTimeAugmentation`](crate::TestTimeAugmentation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TtaConfig {
    /// Views of every picture: the picture as it is, and others changed at random as in training; an embedding is the mean of
    /// the views' unit embeddings. 1 for the picture alone, its embedding as the network gives it.
    pub views: usize,
    /// 4 to look at every picture turned by each of four right angles: the embeddings stand side by side. 1 for the picture as
    /// it stands.
    pub rotations: usize,
}

impl Default for TtaConfig {
    fn default() -> Self {
        Self { views: 1, rotations: 1 }
    }
}

use npair_batch::Negative;
use npair_types::Measure;
use serde::{Deserialize, Serialize};

/// Which tuples of a batch the loss looks at, by the miner's name. Settings that are left out have the value given here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MinerConfig {
    /// All triplets, or a random choice of them.
    AllTriplets {
        /// Most triplets per anchor; 100.
        #[serde(default = "many")]
        per_anchor: usize,
    },
    /// The farthest positive and the nearest negative of every anchor.
    BatchHard {
        /// What compares embeddings; squared-euclidean.
        #[serde(default = "distance")]
        measure: Measure,
    },
    /// The hardest triplets of every anchor.
    Hardest {
        /// Triplets per anchor; 4.
        #[serde(default = "few")]
        per_anchor: usize,
        /// What compares embeddings; squared-euclidean.
        #[serde(default = "distance")]
        measure: Measure,
    },
    /// For every positive the nearest negative that is farther, within a margin.
    SemiHard {
        /// m; 0.2.
        #[serde(default = "margin")]
        margin: f64,
        /// What compares embeddings; squared-euclidean.
        #[serde(default = "distance")]
        measure: Measure,
        /// Most triplets per anchor; 100.
        #[serde(default = "many")]
        per_anchor: usize,
    },
    /// The nearest positive of every anchor.
    EasyPositive {
        /// The negative beside it; semi-hard.
        #[serde(default)]
        negative: Negative,
        /// What compares embeddings; squared-euclidean.
        #[serde(default = "distance")]
        measure: Measure,
    },
    /// For every positive a random negative, all distances alike.
    DistanceWeighted {
        /// Distance below which weights stay the same; 0.5.
        #[serde(default = "cutoff")]
        cutoff: f64,
        /// Distance from which no negative is drawn; 1.4.
        #[serde(default = "farthest")]
        farthest: f64,
        /// Most triplets per anchor; 100.
        #[serde(default = "many")]
        per_anchor: usize,
    },
    /// Triplets of a large angle.
    Angular {
        /// The least angle; 20.0.
        #[serde(default = "degrees")]
        degrees: f64,
        /// Most triplets per anchor; 100.
        #[serde(default = "many")]
        per_anchor: usize,
    },
    /// Pairs beyond the hardest of the other kind.
    MultiSimilarity {
        /// Margin of cosines; 0.1.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Most pairs per anchor, of either kind; 100.
        #[serde(default = "many")]
        per_anchor: usize,
    },
}

fn many() -> usize {
    100
}

fn few() -> usize {
    4
}

fn distance() -> Measure {
    Measure::SquaredEuclidean
}

fn margin() -> f64 {
    0.2
}

fn cutoff() -> f64 {
    0.5
}

fn farthest() -> f64 {
    1.4
}

fn degrees() -> f64 {
    20.
}

fn epsilon() -> f64 {
    0.1
}

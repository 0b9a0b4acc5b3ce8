use serde::{Deserialize, Serialize};

/// How near two embeddings are. Every matrix of this workspace holds *similarities*: larger is nearer, whatever the
/// measure, so that nobody carries a sign around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Inner product `q . g`, the measure inside the paper's losses.
    #[default]
    Dot,
    /// `q . g / (|q| |g|)`, the measure of the paper's evaluations; in [-1, 1]. A zero vector is at 0 from everything.
    Cosine,
    /// Similarity `-|q - g|^2`; its [`natural`](Self::natural) value is the squared distance.
    SquaredEuclidean,
}

impl Measure {
    /// The value in the measure's usual sense: `q . g`, the cosine, or the squared distance (not negated).
    pub fn natural(self, similarity: f64) -> f64 {
        match self {
            Self::Dot | Self::Cosine => similarity,
            Self::SquaredEuclidean => -similarity,
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dot => "dot",
            Self::Cosine => "cosine",
            Self::SquaredEuclidean => "squared-euclidean",
        })
    }
}

use npair_batch::Mining;
use npair_losses::NormForm;
use serde::{Deserialize, Serialize};

/// The loss, by name; it decides which sampler fills the batches. (Variants without settings have braces all the same: only
/// then are unknown keys refused.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossConfig {
    /// Multi-class N-pair loss, equation 7.
    NPairMc {},
    /// The same in both directions.
    NPairMcSymmetric {},
    /// One-vs-one N-pair loss, equation 8.
    NPairOvo {},
    /// The paper's "triplet": smooth, without a margin, equation 4.
    Triplet {},
    /// Triplet with a margin, equation 2.
    TripletMargin {
        /// m.
        margin: f64,
    },
    /// Triplet without a margin, equation 5.
    TripletMarginFree {},
    /// Contrastive, equation 1, over all pairs of the batch.
    Contrastive {
        /// m.
        margin: f64,
    },
    /// (N+1)-tuplets with their own negatives, equation 3.
    Tuplet {},
    /// NCA-style, equation 9.
    NcaStyle {},
    /// N-pair loss for more than two examples a class.
    MultiPositiveNPair {},
    /// Softmax classifier over the training classes.
    Softmax {},
}

impl Default for LossConfig {
    fn default() -> Self {
        Self::NPairMc {}
    }
}

/// Form of the norm penalty; see [`NormForm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPenaltyForm {
    /// Mean of the squared norms.
    #[default]
    MeanSquare,
    /// A quarter of each side's mean (TensorFlow).
    QuarterPerSide,
    /// Sum over the batch per pair.
    SumPerPair,
    /// Mean of the plain norms.
    MeanNorm,
}

impl From<NormPenaltyForm> for NormForm {
    fn from(form: NormPenaltyForm) -> Self {
        match form {
            NormPenaltyForm::MeanSquare => Self::MeanSquare,
            NormPenaltyForm::QuarterPerSide => Self::QuarterPerSide,
            NormPenaltyForm::SumPerPair => Self::SumPerPair,
            NormPenaltyForm::MeanNorm => Self::MeanNorm,
        }
    }
}

/// Regularisation of the embeddings' norms. The paper has it, without a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NormPenaltyConfig {
    /// Its weight; 0 for none.
    pub weight: f64,
    /// Its form.
    pub form: NormPenaltyForm,
}

impl Default for NormPenaltyConfig {
    fn default() -> Self {
        Self { weight: 0.002, form: NormPenaltyForm::MeanSquare }
    }
}

/// Batches and class mining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// N, the classes of a batch.
    pub classes: usize,
    /// M, the examples per class; other than 2 only for losses that take them.
    pub per_class: usize,
    /// Greedy negative class mining; none by default.
    pub mining: Option<Mining>,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { classes: 60, per_class: 2, mining: None }
    }
}

use super::{ClassRow, ConfusedPair, EmbeddingMap, QueryExample};
use serde::{Deserialize, Serialize};

/// What there is to say about one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunPart {
    /// Its name: no other run has it.
    pub name: String,
    /// What was trained on what: data, network, loss, steps, checkpoint, as names and values.
    pub facts: Vec<(String, String)>,
    /// The measure of similarity, in words: "cosine similarity", say; "similarity" if empty.
    pub measure: String,
    /// What was written down while training.
    pub curves: Curves,
    /// All scores, as the field names them. "recall@1", "R-precision" and "EER" are the headline.
    pub scores: Vec<ScoreRow>,
    /// The same scores of other ways on the same queries.
    pub baselines: Vec<BaselineScores>,
    /// Recall@K by K.
    pub recall_at: Vec<RecallAt>,
    /// The ROC as (FAR, TAR), ascending, both from 0 to 1.
    pub roc: Vec<(f64, f64)>,
    /// Chosen thresholds.
    pub thresholds: Vec<ThresholdRow>,
    /// Similarities of pairs of one class and of two.
    pub histogram: Option<SimilarityHistogram>,
    /// Queries and their neighbours.
    pub examples: Vec<QueryExample>,
    /// Queries whose first right neighbour comes last.
    pub worst_queries: Vec<QueryExample>,
    /// Classes that are found worst, worst first.
    pub worst_classes: Vec<ClassRow>,
    /// Pairs of classes most often taken for each other, most often first.
    pub confused_pairs: Vec<ConfusedPair>,
    /// Maps of the embeddings.
    pub maps: Vec<EmbeddingMap>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Values by step, as (step, value) in the order of steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Curves {
    /// The loss of training.
    pub loss: Vec<(f64, f64)>,
    /// The learning rate.
    pub rate: Vec<(f64, f64)>,
    /// The norm of the gradient.
    pub gradient_norm: Vec<(f64, f64)>,
    /// Scores of the validation, by name.
    pub validation: Vec<(String, Vec<(f64, f64)>)>,
}

/// A score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreRow {
    /// Its name, as the field has it.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
    /// What has to be said about it.
    pub note: String,
}

/// The scores of another way to compare the same pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineScores {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: BaselineKind,
    /// Its scores.
    pub scores: Vec<ScoreRow>,
}

/// What a baseline is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaselineKind {
    /// Guessing.
    Chance,
    /// Raw pixels, histograms of colours and the like: nothing learned.
    Pixels,
    /// The network before training.
    Untrained,
    /// Anything else.
    #[default]
    Other,
}

/// Recall@K at one K.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecallAt {
    /// K, from 1.
    pub k: usize,
    /// Share of queries with one of their class among the K nearest, from 0 to 1.
    pub value: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
}

/// A threshold on the similarity of pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThresholdRow {
    /// The false accept rate that it was chosen for, from 0 to 1.
    pub far: f64,
    /// Pairs at least that similar are taken for one class.
    pub threshold: f64,
    /// Lower end of the threshold's 95 % interval.
    pub low: Option<f64>,
    /// Upper end of the threshold's 95 % interval.
    pub high: Option<f64>,
    /// The false accept rate that it has on the pairs of this page, from 0 to 1; as it was chosen for, if unknown.
    pub far_here: Option<f64>,
    /// The true accept rate that it gives on them, from 0 to 1.
    pub tar: f64,
}

/// How similar pairs are, counted in bins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimilarityHistogram {
    /// Ends of the bins, ascending: one more than there are bins.
    pub edges: Vec<f64>,
    /// Pairs of one class in every bin.
    pub same: Vec<u64>,
    /// Pairs of two classes in every bin.
    pub different: Vec<u64>,
}

use crate::{Result, Scores};
use npair_metrics::Embeddings;

/// Embeddings and their labels to named numbers: what a validation while training judges by.
///
/// # Examples
/// ```
/// # use npair_evaluate::{Metric, Result, Scores};
/// # use npair_metrics::Embeddings;
/// # use npair_types::Labels;
/// # use npair_metrics::{Search, knn_accuracy};
/// # use npair_types::Measure;
/// /// Recognition by three neighbours.
/// struct ThreeNeighbours;
///
/// impl Metric for ThreeNeighbours {
///     fn name(&self) -> &str {
///         "3-NN"
///     }
///     fn scores(&self, set: &Embeddings) -> Result<Scores> {
///         let accuracy = knn_accuracy(&Search::within(set, Measure::Cosine), 3)?;
///         Ok(Scores::of_set("val", set).with("3-NN accuracy", accuracy.value))
///     }
/// }
///
/// let rows = [1f64, 0., 1., 0.1, 0., 1., 0.1, 1.];
/// let set = Embeddings::new(&rows, 2, Labels::new([1, 1, 2, 2])?)?;
/// assert!(ThreeNeighbours.scores(&set)?.get("3-NN accuracy").is_some());
/// # Ok::<(), npair_evaluate::Error>(())
/// ```
pub trait Metric: Send {
    /// What messages call it.
    fn name(&self) -> &str;

    /// The scores of a set.
    ///
    /// # Errors
    /// If the set cannot be judged so: too few classes, say.
    fn scores(&self, set: &Embeddings) -> Result<Scores>;

    /// Names of the scores by which the best model is chosen where nothing else is said: the first of them that there is. Larger
    /// is better. By default the first score of all.
    fn selects_by(&self) -> Vec<String> {
        Vec::new()
    }
}

use super::labeled;
use crate::{EvaluationConfig, QueryGallery, Result, Score, Scores};
use npair_metrics::{Embeddings, Search, retrieval};

/// Queries searched in a gallery, as In-shop Clothes Retrieval has it: recall@K, R-precision, MAP@R, MRR. A query that is in the
/// gallery too is not searched in itself.
///
/// # Shapes
/// Row i of `set` is the example i that `search` speaks of.
///
/// # Errors
/// [`npair_metrics::Error::NoPositive`] if no query has an example of its class in the gallery.
///
/// # Source
/// Liu et al., DeepFashion, CVPR 2016, section 5.
pub fn query_gallery(name: &str, set: &Embeddings, search: &QueryGallery, config: &EvaluationConfig) -> Result<Scores> {
    let (queries, gallery) = (labeled(set, &search.queries)?, labeled(set, &search.gallery)?);
    let (ks, beyond): (Vec<usize>, Vec<usize>) = config.recall_at.iter().partition(|&&k| k < gallery.len());
    let within = Search::ignoring(&queries, &gallery, config.measure, &search.queries, &search.gallery)?;
    let found = retrieval(&within, &ks)?;
    let mut scores: Vec<(String, npair_metrics::Mean)> =
        found.recall_at.iter().map(|(k, mean)| (format!("recall@{k}"), *mean)).collect();
    scores.push(("R-precision".to_owned(), found.r_precision));
    scores.push(("MAP@R".to_owned(), found.map_at_r));
    scores.push(("MRR".to_owned(), found.mrr));
    let mut notes = vec![format!("{} queries in a gallery of {}", queries.len(), gallery.len())];
    if !beyond.is_empty() {
        notes.push(format!("recall@{beyond:?} left out: the gallery has {} examples", gallery.len()));
    }
    if found.queries_without_a_positive > 0 {
        notes.push(format!("{} queries without their class in the gallery left out", found.queries_without_a_positive));
    }
    Ok(Scores {
        set: format!("{name}, queries in the gallery"),
        examples: set.len(),
        classes: set.labels().classes().len(),
        measure: config.measure.to_string(),
        scores: scores.into_iter().map(|(name, mean)| Score::mean(name, mean)).collect(),
        notes,
    })
}

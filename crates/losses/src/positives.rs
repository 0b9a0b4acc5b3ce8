use crate::rows::{dots, pick};
use crate::stable::softplus;
use crate::{Gallery, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::Similarity;
use npair_types::{Labels, Measure};

/// Rows of a batch that has positives and negatives: those with another row of their class. An error names what is
/// missing.
pub(crate) fn with_both(loss: &'static str, embeddings: &Tensor, labels: &Labels) -> Result<Vec<usize>> {
    Gallery::of(embeddings, labels)?.with_both(loss)
}

/// Ordered pairs (anchor, positive) among `rows`.
pub(crate) fn ordered_pairs(rows: &[usize], labels: &Labels) -> (Vec<usize>, Vec<usize>) {
    rows.iter().flat_map(|&i| rows.iter().map(move |&p| (i, p))).filter(|&(i, p)| i != p && labels.same(i, p)).unzip()
}

/// Every (query, positive) against the query's negatives: `1/|P| sum_{(i, p)} log(1 + sum_n exp(f_i . f_n - o_ip))`, where
/// `own` makes o of the lists of queries and positives.
pub(crate) fn against_negatives(
    loss: &'static str,
    gallery: &Gallery,
    own: impl FnOnce(&[usize], &[usize]) -> Result<Tensor>,
) -> Result<LossValue> {
    let with = gallery.with_both(loss)?;
    let (queries, rows) = (gallery.queries(), gallery.rows()?);
    let negatives = Similarity::new(queries, &rows, Measure::Dot)?.log_sum_exp(&gallery.is_negative())?;
    let pairs = with.iter().flat_map(|&i| gallery.positives(i).map(move |p| (i, p)));
    let (anchors, positives): (Vec<_>, Vec<_>) = pairs.unzip();
    let above = (pick(&negatives.unsqueeze(1)?, &anchors)?.squeeze(1)? - own(&anchors, &positives)?)?;
    Ok(LossValue::smooth(softplus(&above)?.mean_all()?, anchors.len()))
}

/// Inner products of queries and positives.
pub(crate) fn products(gallery: &Gallery, queries: &[usize], positives: &[usize]) -> Result<Tensor> {
    dots(&pick(gallery.queries(), queries)?, &pick(&gallery.rows()?, positives)?)
}

//! What several losses share: every positive of a query against all negatives of the query at once.

use crate::row::{Lengths, log_sum_exp, mean_over_anchors, sigmoid};
use crate::rows::{dots, pick};
use crate::stable::softplus;
use crate::{Batch, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::Similarity;
use npair_types::{Measure, PairList};

/// Every (query, positive) against the query's negatives: `1/|P| sum_{(i, p)} log(1 + sum_n exp(f_i . f_n - o_ip))`, where
/// `own` makes o of the lists of queries and positives.
pub(crate) fn against_negatives(
    loss: &str,
    batch: &Batch,
    own: impl FnOnce(&[usize], &[usize]) -> Result<Tensor>,
) -> Result<LossValue> {
    let with = batch.with_both(loss)?;
    let (queries, rows) = (batch.embeddings(), batch.all_rows()?);
    let negatives = Similarity::new(queries, &rows, Measure::Dot)?.log_sum_exp(&batch.negatives())?;
    let classes = batch.classes();
    let pairs = with.iter().flat_map(|&i| classes.positives(i).map(move |p| (i, p)));
    let (anchors, positives): (Vec<_>, Vec<_>) = pairs.unzip();
    let above = (pick(&negatives.unsqueeze(1)?, &anchors)?.squeeze(1)? - own(&anchors, &positives)?)?;
    Ok(LossValue::smooth(softplus(&above)?.mean_all()?, anchors.len()))
}

/// Inner products of queries and positives.
pub(crate) fn products(batch: &Batch, queries: &[usize], positives: &[usize]) -> Result<Tensor> {
    dots(&pick(batch.embeddings(), queries)?, &pick(&batch.all_rows()?, positives)?)
}

/// The same of the pairs that a miner chose: products times `scale` are logits, and `own` makes the product of a positive what
/// stands for it, and says its slope.
pub(crate) fn listed_against_negatives(
    batch: &Batch,
    list: &PairList,
    lengths: Lengths,
    scale: f64,
    own: impl Fn(f64) -> (f64, f64),
) -> Result<LossValue> {
    mean_over_anchors(batch, list, lengths, |anchor| {
        let all = log_sum_exp(anchor.negatives.iter().map(|n| scale * n));
        let mut sum = 0.;
        for (p, by) in anchor.positives.iter().zip(anchor.by_positives) {
            let (own, slope) = own(*p);
            let above = all - scale * own;
            sum += crate::row::softplus(above);
            let up = sigmoid(above);
            *by = -scale * slope * up;
            for (n, by) in anchor.negatives.iter().zip(&mut *anchor.by_negatives) {
                *by += scale * up * (scale * n - all).exp();
            }
        }
        (sum, anchor.positives.len())
    })
}

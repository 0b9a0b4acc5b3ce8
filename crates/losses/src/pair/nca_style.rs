use crate::row::{Anchor, Lengths, log_sum_exp, mean_over_anchors, sigmoid, softplus};
use crate::rows::pick;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure};

/// NCA-style loss: the share of a row's soft-max that falls on its own class. The control of the paper's Table 4, for any
/// number of examples per class.
///
/// ```text
/// L = 1/B  sum_i  -log( sum_{j != i, y_j = y_i} exp(f_i . f_j)  /  sum_{j != i} exp(f_i . f_j) )
/// ```
/// With a miner both sums are over the rows that it chose for row i.
///
/// # Shapes
/// Embeddings f: (B, D) (the paper's B is 2N), with their labels; a scalar. A row without another of its class has no
/// numerator: it stays a negative for the others, is no term of the mean, and `terms` counts the rest.
///
/// # Units
/// Nats.
///
/// # Numerics
/// Taken as `log(1 + sum over other classes / sum over the own)`, in two streamed passes: no cancellation, O(B D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if no row has another of its class.
///
/// # Source
/// Sohn, NIPS 2016, equation 9; Goldberger et al., NIPS 2004.
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use npair_losses::{Batch, Loss, NcaStyle};
/// # use npair_types::Labels;
/// let equal = Tensor::zeros((4, 2), DType::F64, &Device::Cpu)?;
/// let loss = NcaStyle.forward(&Batch::new(&equal, &Labels::new([1, 1, 2, 2])?)?)?; // 1 of 3 others is of the class
/// assert!((loss.to_f64()? - 3f64.ln()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NcaStyle;

npair_types::settings! {
    /// NCA-style, equation 9.
    pub struct NcaStyleSettings {}
}

impl LossSettings for NcaStyleSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(NcaStyle))
    }
}

/// The term of an anchor's listed pairs.
fn listed(anchor: Anchor<'_>) -> (f64, usize) {
    if anchor.positives.is_empty() {
        return (0., 0);
    }
    let own = log_sum_exp(anchor.positives.iter().copied());
    let all = log_sum_exp(anchor.negatives.iter().copied());
    let up = sigmoid(all - own);
    anchor.positives.iter().zip(anchor.by_positives).for_each(|(p, by)| *by = -up * (p - own).exp());
    anchor.negatives.iter().zip(anchor.by_negatives).for_each(|(n, by)| *by = up * (n - all).exp());
    (softplus(all - own), 1)
}

impl Loss for NcaStyle {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return mean_over_anchors(batch, &list, Lengths::Own, listed);
        }
        let with = batch.with_a_positive("NCA-style loss")?;
        let (queries, rows) = (batch.embeddings(), batch.all_rows()?);
        let all = Similarity::new(queries, &rows, Measure::Dot)?;
        let own = all.log_sum_exp(&batch.positives())?;
        if with.len() == batch.labels().len() {
            let terms = all.log1p_sum_exp_above(&own, &batch.negatives())?;
            return Ok(LossValue::smooth(terms.mean_all()?, with.len()));
        }
        // Rows without a positive have the reference minus infinity: only the others are queries.
        let of_queries = Labels::from_ids(with.iter().map(|&i| batch.labels().get(i)).collect())?;
        let all = Similarity::new(&pick(queries, &with)?, &rows, Measure::Dot)?;
        let own = pick(&own.unsqueeze(1)?, &with)?.squeeze(1)?;
        let terms = all.log1p_sum_exp_above(&own, &Mask::other_class(&of_queries, batch.all_labels()))?;
        Ok(LossValue::smooth(terms.mean_all()?, with.len()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        "NCA-style loss"
    }
}

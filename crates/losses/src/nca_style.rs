use crate::rows::{expect_matrix, pick};
use crate::{Error, Loss, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::{ClassId, Labels, Measure};

/// NCA-style loss: the share of a row's soft-max that falls on its own class. The control of the paper's Table 4, for any
/// number of examples per class.
///
/// ```text
/// L = 1/B  sum_i  -log( sum_{j != i, y_j = y_i} exp(f_i . f_j)  /  sum_{j != i} exp(f_i . f_j) )
/// ```
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
/// [`Error::TooFew`] if no row has another of its class.
///
/// # Source
/// Sohn, NIPS 2016, equation 9; Goldberger et al., NIPS 2004.
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use npair_losses::{Loss, NcaStyle};
/// # use npair_types::Labels;
/// let equal = Tensor::zeros((4, 2), DType::F64, &Device::Cpu)?;
/// let loss = NcaStyle.forward(&equal, &Labels::new([1, 1, 2, 2])?)?; // 1 of 3 others is of the class
/// assert!((loss.to_f64()? - 3f64.ln()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NcaStyle;

impl Loss for NcaStyle {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let (b, _) = expect_matrix("embeddings", embeddings)?;
        labels.expect_len(b)?;
        let rows = with_a_positive("NCA-style loss", labels)?;
        let all = Similarity::new(embeddings, embeddings, Measure::Dot)?;
        let own = all.log_sum_exp(&Mask::positives(labels))?;
        if rows.len() == b {
            let terms = all.log1p_sum_exp_above(&own, &Mask::other_class(labels, labels))?;
            return Ok(LossValue::smooth(terms.mean_all()?, b));
        }
        // Rows without a positive have the reference minus infinity: only the others are queries.
        let of_queries = Labels::from_ids(rows.iter().map(|&i| labels.get(i)).collect::<Vec<ClassId>>())?;
        let queries = Similarity::new(&pick(embeddings, &rows)?, embeddings, Measure::Dot)?;
        let own = pick(&own.unsqueeze(1)?, &rows)?.squeeze(1)?;
        let terms = queries.log1p_sum_exp_above(&own, &Mask::other_class(&of_queries, labels))?;
        Ok(LossValue::smooth(terms.mean_all()?, rows.len()))
    }
}

/// Rows that have another row of their class; an error if there is none.
pub(crate) fn with_a_positive(loss: &'static str, labels: &Labels) -> Result<Vec<usize>> {
    let mut count = std::collections::HashMap::<ClassId, usize>::new();
    for &class in labels.as_slice() {
        *count.entry(class).or_default() += 1;
    }
    let rows: Vec<usize> = (0..labels.len()).filter(|&i| count[&labels.get(i)] > 1).collect();
    if rows.is_empty() {
        return Err(Error::TooFew { loss, what: "examples of one class", least: 2, got: 1 });
    }
    Ok(rows)
}

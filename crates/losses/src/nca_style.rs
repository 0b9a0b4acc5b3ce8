use crate::gallery::loss_of_gallery;
use crate::rows::pick;
use crate::{Gallery, GalleryLoss, LossValue, Result};
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure};

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
/// [`Error::TooFew`](crate::Error::TooFew) if no row has another of its class.
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

impl GalleryLoss for NcaStyle {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_a_positive("NCA-style loss")?;
        let (queries, rows) = (gallery.queries(), gallery.rows()?);
        let all = Similarity::new(queries, &rows, Measure::Dot)?;
        let own = all.log_sum_exp(&gallery.is_positive())?;
        if with.len() == gallery.of_queries().len() {
            let terms = all.log1p_sum_exp_above(&own, &gallery.is_negative())?;
            return Ok(LossValue::smooth(terms.mean_all()?, with.len()));
        }
        // Rows without a positive have the reference minus infinity: only the others are queries.
        let of_queries = Labels::from_ids(with.iter().map(|&i| gallery.of_queries().get(i)).collect())?;
        let all = Similarity::new(&pick(queries, &with)?, &rows, Measure::Dot)?;
        let own = pick(&own.unsqueeze(1)?, &with)?.squeeze(1)?;
        let terms = all.log1p_sum_exp_above(&own, &Mask::other_class(&of_queries, gallery.labels()))?;
        Ok(LossValue::smooth(terms.mean_all()?, with.len()))
    }
}

loss_of_gallery!(NcaStyle);

use crate::gallery::loss_of_gallery;
use crate::rows::{dots, pick, unit_rows};
use crate::setting::above_zero;
use crate::{Gallery, GalleryLoss, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// Supervised contrastive loss: the log-share of each positive among all other examples, averaged over the positives of a row.
///
/// ```text
/// L = 1/B'  sum_i  -1/|P_i|  sum_{p in P_i}  log( exp(c_ip / T) / sum_{a != i} exp(c_ia / T) )
/// P_i = { p != i: y_p = y_i },  c the cosine
/// ```
/// Unlike in [`NtXent`](crate::NtXent) the other positives stand in the denominator as well.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are negatives
/// only.
///
/// # Units
/// Nats. Embeddings are normalised here.
///
/// # Gradient
/// Finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// The mean over positives is taken with the sum of each class, the log-sum-exp is streamed: O(B D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if no row has a positive or there is only one class.
///
/// # Source
/// Khosla et al., NeurIPS 2020 (arXiv 2004.11362), equation 2. Values as pytorch-metric-learning's `SupConLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, SupCon};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.], [0., 5.]], &Device::Cpu)?;
/// let loss = SupCon::new(0.5)?.forward(&x, &Labels::new([1, 1, 2, 2])?)?;
/// // Cosine 1 to the positive, 0 to two negatives: log(e^2 + 2) - 2.
/// assert!((loss.to_f64()? - ((2f64.exp() + 2.).ln() - 2.)).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SupCon {
    temperature: f64,
}

impl SupCon {
    /// With temperature T > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the temperature is not a positive number.
    pub fn new(temperature: f64) -> Result<Self> {
        Ok(Self { temperature: above_zero("the temperature", temperature)? })
    }
}

impl Default for SupCon {
    /// T = 0.1, the paper's and pytorch-metric-learning's.
    fn default() -> Self {
        Self { temperature: 0.1 }
    }
}

impl GalleryLoss for SupCon {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("supervised contrastive loss")?;
        let unit = gallery.map(|rows| Ok((unit_rows(rows)? * self.temperature.powf(-0.5))?))?;
        let (queries, rows) = (unit.queries(), unit.rows()?);
        let all = Similarity::new(queries, &rows, Measure::Dot)?.log_sum_exp(&Mask::OffDiagonal)?;
        // Sum over the positives of a row: that of its class less itself.
        let (places, classes) = gallery.labels().compact();
        let of_class = Tensor::from_vec(places.iter().map(|&c| c as u32).collect(), places.len(), rows.device())?;
        let sums =
            Tensor::zeros((classes, rows.dim(1)?), rows.dtype(), rows.device())?.index_add(&of_class, &rows, 0)?;
        let mut members = vec![0f64; classes];
        places.iter().for_each(|&c| members[c] += 1.);
        let share: Vec<f64> = with.iter().map(|&i| 1. / (members[places[i]] - 1.)).collect();
        let share = Tensor::from_vec(share, with.len(), rows.device())?.to_dtype(rows.dtype())?;
        let queries = pick(queries, &with)?;
        let positives = (pick(&sums, &with.iter().map(|&i| places[i]).collect::<Vec<_>>())? - &queries)?;
        let own = (dots(&queries, &positives)? * share)?;
        let terms = (pick(&all.unsqueeze(1)?, &with)?.squeeze(1)? - own)?;
        Ok(LossValue::smooth(terms.mean_all()?, with.len()))
    }
}

loss_of_gallery!(SupCon);

use crate::row::{Anchor, Lengths, log_sum_exp, mean_over_anchors};
use crate::rows::{dots, pick, unit_rows};
use crate::setting::above_zero;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// Supervised contrastive loss: the log-share of each positive among all other examples, averaged over the positives of a row.
///
/// ```text
/// L = 1/B'  sum_i  -1/|P_i|  sum_{p in P_i}  log( exp(c_ip / T) / sum_{a != i} exp(c_ia / T) )
/// P_i = { p != i: y_p = y_i },  c the cosine
/// ```
/// Unlike in [`NtXent`](crate::NtXent) the other positives stand in the denominator as well. With a miner P_i are the positives, and
/// the denominator all others, that it chose.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are negatives
/// only.
///
/// # Units
/// Nats. Embeddings are normalized here.
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
/// # use npair_losses::{Batch, Loss, SupCon};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.], [0., 5.]], &Device::Cpu)?;
/// let loss = SupCon::new(0.5)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2, 2])?)?)?;
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

npair_types::settings! {
    /// Supervised contrastive (Khosla et al., 2020). The usual value is the paper's and pytorch-metric-learning's.
    pub struct SupConSettings {
        /// Temperature T, above 0.
        temperature: f64 = 0.1,
    }
}

impl Default for SupCon {
    /// With the usual [`SupConSettings`].
    fn default() -> Self {
        let SupConSettings { temperature } = Default::default();
        Self { temperature }
    }
}

impl LossSettings for SupConSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(SupCon::new(self.temperature)?))
    }
}

impl SupCon {
    /// The term of an anchor's listed pairs.
    fn listed(&self, anchor: Anchor<'_>) -> (f64, usize) {
        let count = anchor.positives.len();
        if count == 0 {
            return (0., 0);
        }
        let scale = 1. / self.temperature;
        let all = log_sum_exp(anchor.positives.iter().chain(anchor.negatives).map(|c| scale * c));
        let share = |c: &f64| scale * (scale * c - all).exp();
        for (c, by) in anchor.positives.iter().zip(anchor.by_positives) {
            *by = share(c) - scale / count as f64;
        }
        anchor.negatives.iter().zip(anchor.by_negatives).for_each(|(c, by)| *by = share(c));
        (all - scale * anchor.positives.iter().sum::<f64>() / count as f64, 1)
    }
}

impl Loss for SupCon {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return mean_over_anchors(batch, &list, Lengths::One, |anchor| self.listed(anchor));
        }
        let with = batch.with_both("supervised contrastive loss")?;
        let unit = batch.map(|rows| Ok((unit_rows(rows)? * self.temperature.powf(-0.5))?))?;
        let (queries, rows) = (unit.embeddings(), unit.all_rows()?);
        let all = Similarity::new(queries, &rows, Measure::Dot)?.log_sum_exp(&Mask::OffDiagonal)?;
        // Sum over the positives of a row: that of its class less itself.
        let (places, classes) = batch.all_labels().compact();
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

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        "supervised contrastive loss"
    }
}

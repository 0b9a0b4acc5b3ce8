use crate::n_pair::against_negatives::{against_negatives, listed_against_negatives, products};
use crate::row::Lengths;
use crate::rows::unit_rows;
use crate::setting::above_zero;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};

/// NT-Xent, the normalized temperature-scaled cross-entropy (InfoNCE with cosines): every ordered (anchor, positive) of one
/// class against all examples of the other classes.
///
/// ```text
/// L = 1/|P|  sum_{(i, p) in P}  log(1 + sum_{n: y_n != y_i} exp((c_in - c_ip) / T))
/// P = { (i, p): i != p, y_i = y_p },  c the cosine
/// ```
/// With two views of every image, each image a class of its own, this is SimCLR's loss. With a miner P are the positive pairs, and
/// the negatives those, that it chose.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|; a row alone in its class is a negative only.
///
/// # Units
/// Nats. Embeddings are normalized here.
///
/// # Gradient
/// Finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// The negatives' log-sum-exp is streamed: O((B + |P|) D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if P is empty or there is only one class.
///
/// # Source
/// Chen et al., ICML 2020 (arXiv 2002.05709), equation 1; van den Oord et al., 2018. Values as pytorch-metric-learning's
/// `NTXentLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, NtXent};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.], [0., 5.]], &Device::Cpu)?;
/// let loss = NtXent::new(0.5)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2, 2])?)?)?;
/// // Cosine 1 to the positive, 0 to two negatives.
/// assert!((loss.to_f64()? - (2. * (-2f64).exp()).ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct NtXent {
    temperature: f64,
}

impl NtXent {
    /// With temperature T > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the temperature is not a positive number.
    pub fn new(temperature: f64) -> Result<Self> {
        Ok(Self { temperature: above_zero("the temperature", temperature)? })
    }
}

npair_types::settings! {
    /// NT-Xent (Chen et al., 2020). The usual value is pytorch-metric-learning's.
    pub struct NtXentSettings {
        /// Temperature T, above 0.
        temperature: f64 = 0.07,
    }
}

impl Default for NtXent {
    /// With the usual [`NtXentSettings`].
    fn default() -> Self {
        let NtXentSettings { temperature } = Default::default();
        Self { temperature }
    }
}

impl LossSettings for NtXentSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(NtXent::new(self.temperature)?))
    }
}

impl Loss for NtXent {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return listed_against_negatives(batch, &list, Lengths::One, 1. / self.temperature, |own| (own, 1.));
        }
        let unit = batch.map(|rows| Ok((unit_rows(rows)? * self.temperature.powf(-0.5))?))?;
        against_negatives("NT-Xent", &unit, |anchors, positives| products(&unit, anchors, positives))
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        "NT-Xent"
    }
}

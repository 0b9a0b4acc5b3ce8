use super::against_negatives::{against_negatives, listed_against_negatives, products};
use crate::row::Lengths;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};

/// N-pair loss for batches with any number of examples per class: every ordered (anchor, positive) of one class against all
/// examples of the other classes.
///
/// ```text
/// L = 1/|P|  sum_{(i, p) in P}  log(1 + sum_{n: y_n != y_i} exp(f_i . f_n - f_i . f_p))
/// P = { (i, p): i != p, y_i = y_p }, or the positive pairs that a miner chose, against the negatives that it chose
/// ```
/// With two examples a class this is not [`NPairMc`](crate::NPairMc): there only the positives of other classes are
/// negatives, here all of their examples are, as common in other code that goes by the name of N-pair.
///
/// # Shapes
/// Embeddings f: (B, D) with their labels; a scalar. `terms` is |P|; a row alone in its class is a negative only.
///
/// # Units
/// Nats.
///
/// # Numerics
/// The negatives' log-sum-exp is streamed, once per row, however many positives the row has.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if P is empty or there is only one class.
///
/// # Source
/// Generalises Sohn, NIPS 2016, equation 7.
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use npair_losses::{Batch, Loss, MultiPositiveNPair};
/// # use npair_types::Labels;
/// let equal = Tensor::zeros((5, 2), DType::F64, &Device::Cpu)?;
/// // 3 * 2 terms with two negatives each, 2 * 1 terms with three.
/// let loss = MultiPositiveNPair.forward(&Batch::new(&equal, &Labels::new([1, 1, 1, 2, 2])?)?)?;
/// assert!((loss.to_f64()? - (6. * 3f64.ln() + 2. * 4f64.ln()) / 8.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MultiPositiveNPair;

npair_types::settings! {
    /// N-pair loss for more than two examples a class.
    pub struct MultiPositiveNPairSettings {}
}

impl LossSettings for MultiPositiveNPairSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(MultiPositiveNPair))
    }
}

impl Loss for MultiPositiveNPair {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return listed_against_negatives(batch, &list, Lengths::Own, 1., |own| (own, 1.));
        }
        against_negatives("multi-positive N-pair loss", batch, |anchors, positives| products(batch, anchors, positives))
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        "multi-positive N-pair loss"
    }
}

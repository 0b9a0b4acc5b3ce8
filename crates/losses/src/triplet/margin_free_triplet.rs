use crate::loss_of_pairs::{TripletLoss, expect_triplets, of_triplets};
use crate::rows::dots;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;

/// Triplet loss without a margin, on inner products.
///
/// ```text
/// L = 1/T  sum_t  max(0, f_t . n_t - f_t . p_t)
/// ```
/// # Shapes
/// `anchors` f, `positives` p, `negatives` n: (T, D); a scalar.
///
/// # Units
/// Those of the inner product. Bring embeddings of unit length: otherwise the loss is lowest for f = 0 (the paper's
/// footnote 1), and is there for comparison only.
///
/// # Gradient
/// 0 for a satisfied triplet; at exactly 0 that of the hinge's right side.
///
/// # Source
/// Sohn, NIPS 2016, equation 5.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{MarginFreeTriplet, TripletLoss};
/// let [a, p, n] = [[[1f64, 0.], [1., 0.]], [[0., 1.], [1., 0.]], [[0.6, 0.8], [0., 1.]]]
///     .map(|v| Tensor::new(&v, &Device::Cpu));
/// let loss = MarginFreeTriplet.forward_triplets(&a?, &p?, &n?)?; // (0.6 + 0) / 2
/// assert_eq!((loss.to_f64()?, loss.terms, loss.active), (0.3, 2, 1));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MarginFreeTriplet;

npair_types::settings! {
    /// Triplet without a margin, equation 5.
    pub struct MarginFreeTripletSettings {}
}

impl LossSettings for MarginFreeTripletSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(MarginFreeTriplet))
    }
}

impl TripletLoss for MarginFreeTriplet {
    fn forward_triplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue> {
        let [anchors, positives, negatives] = expect_triplets(anchors, positives, negatives)?;
        LossValue::hinged(&dots(&anchors, &(negatives - positives)?)?.relu()?)
    }
}

impl Loss for MarginFreeTriplet {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_triplets(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::triplets()
    }

    fn name(&self) -> &str {
        "margin-free triplet loss"
    }
}

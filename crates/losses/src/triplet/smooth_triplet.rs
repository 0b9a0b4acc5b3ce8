use crate::loss_of_pairs::{TripletLoss, expect_triplets, of_triplets};
use crate::rows::dots;
use crate::stable::softplus;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;

/// Smooth triplet loss on inner products, the (2+1)-tuplet loss: the baseline that the paper trains and calls "triplet".
///
/// ```text
/// L = 1/T  sum_t  log(1 + exp(f_t . n_t - f_t . p_t))
/// ```
/// # Shapes
/// `anchors` f, `positives` p, `negatives` n: (T, D); a scalar.
///
/// # Units
/// Nats; log 2 when all embeddings are equal. There is no margin.
///
/// # Source
/// Sohn, NIPS 2016, equation 4 and section 4 ("in all experiments").
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{SmoothTriplet, TripletLoss};
/// let [a, p, n] = [[[1f64, 0.]], [[2., 0.]], [[0., 5.]]].map(|v| Tensor::new(&v, &Device::Cpu));
/// let loss = SmoothTriplet.forward_triplets(&a?, &p?, &n?)?; // log(1 + exp(0 - 2))
/// assert!((loss.to_f64()? - 0.126_928_011).abs() < 1e-9);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SmoothTriplet;

npair_types::settings! {
    /// The paper's "triplet": smooth, without a margin, equation 4.
    pub struct SmoothTripletSettings {}
}

impl LossSettings for SmoothTripletSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(SmoothTriplet))
    }
}

impl TripletLoss for SmoothTriplet {
    fn forward_triplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue> {
        let [anchors, positives, negatives] = expect_triplets(anchors, positives, negatives)?;
        // One product of the difference: large products that cancel do so before they are multiplied.
        let above = dots(&anchors, &(negatives - positives)?)?;
        Ok(LossValue::smooth(softplus(&above)?.mean_all()?, anchors.dim(0)?))
    }
}

impl Loss for SmoothTriplet {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_triplets(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::triplets()
    }

    fn name(&self) -> &str {
        "smooth triplet loss"
    }
}

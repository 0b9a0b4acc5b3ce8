use crate::loss_of_pairs::{TripletLoss, expect_triplets, of_triplets};
use crate::rows::squared_distances;
use crate::setting::from_zero;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;

/// Triplet loss with a margin, on squared distances.
///
/// ```text
/// L = 1/T  sum_t  max(0, |f_t - p_t|^2 - |f_t - n_t|^2 + m)
/// ```
/// # Shapes
/// `anchors` f, `positives` p, `negatives` n: (T, D); a scalar.
///
/// # Units
/// Squared distance. The paper trains [`SmoothTriplet`](crate::SmoothTriplet), not this, and gives no margin.
///
/// # Source
/// Sohn, NIPS 2016, equation 2; Schroff et al., CVPR 2015.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{TripletLoss, TripletMargin};
/// let [a, p, n] = [[[0f64, 0.]], [[1., 0.]], [[0., 2.]]].map(|v| Tensor::new(&v, &Device::Cpu));
/// let loss = TripletMargin::new(3.5)?.forward_triplets(&a?, &p?, &n?)?; // 1 - 4 + 3.5
/// assert_eq!(loss.to_f64()?, 0.5);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TripletMargin {
    margin: f64,
}

impl TripletMargin {
    /// With margin m >= 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the margin is negative or not finite.
    pub fn new(margin: f64) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)? })
    }
}

npair_types::settings! {
    /// Triplet with a margin of squared distances, equation 2.
    pub struct TripletMarginSettings {
        /// Margin m, from 0. The paper names no value, so it has to be set.
        margin: f64 = f64::NAN,
    }
}

impl LossSettings for TripletMarginSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(TripletMargin::new(self.margin)?))
    }
}

impl TripletLoss for TripletMargin {
    fn forward_triplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue> {
        let [anchors, positives, negatives] = expect_triplets(anchors, positives, negatives)?;
        let near = squared_distances(&anchors, &positives)?;
        let far = squared_distances(&anchors, &negatives)?;
        LossValue::hinged(&((near - far)? + self.margin)?.relu()?)
    }
}

impl Loss for TripletMargin {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_triplets(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::triplets()
    }

    fn name(&self) -> &str {
        "triplet margin loss"
    }
}

use crate::loss::loss_of_triplets;
use crate::rows::{expect_like, expect_matrix, squared_distances};
use crate::{Error, LossValue, Result, TripletLoss};
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
/// let loss = TripletMargin::new(3.5)?.of_triplets(&a?, &p?, &n?)?; // 1 - 4 + 3.5
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
    /// [`Error::Setting`] if the margin is negative or not finite.
    pub fn new(margin: f64) -> Result<Self> {
        if !margin.is_finite() || margin < 0. {
            return Err(Error::Setting { what: "the margin", got: margin, range: "a finite number from 0" });
        }
        Ok(Self { margin })
    }
}

impl TripletLoss for TripletMargin {
    fn of_triplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue> {
        expect_matrix("anchors", anchors)?;
        expect_like("positives", positives, "anchors", anchors)?;
        expect_like("negatives", negatives, "anchors", anchors)?;
        let near = squared_distances(anchors, positives)?;
        let far = squared_distances(anchors, negatives)?;
        LossValue::hinged(&((near - far)? + self.margin)?.relu()?)
    }
}

loss_of_triplets!(TripletMargin);

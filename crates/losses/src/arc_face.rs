use crate::angle::plus_angle;
use crate::class_weights::{ClassWeights, one_row_per_class, setting};
use crate::setting::{above_zero, within};
use crate::{Loss, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::Labels;

/// ArcFace (additive angular margin loss): normalised softmax with a margin added to the own class's angle.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s (cos(theta_ic) - psi(theta_{i y_i}))))
/// psi(theta) = cos(theta + m)            if theta + m <= 180 degrees
///              cos(theta) - m sin(m)     beyond, so that the loss keeps falling with theta
/// ```
/// m = 28.6 degrees (0.5 radians) and s = 64 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings: (B, D) with labels among the C classes; weights: (C, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and weights. Finite everywhere: `cos(theta + m)` is taken as `c cos m - sqrt(1 - c^2) sin m` in f64, the
/// root held from 1e-7. A zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed over the classes: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Deng et al., CVPR 2019 (arXiv 1801.07698), equation 3. Values as pytorch-metric-learning's `ArcFaceLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{ArcFace, Loss};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[0.5f64, 0.75f64.sqrt()]], &Device::Cpu)?;
/// let loss = ArcFace::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_margin(30.)?.with_scale(2.)?;
/// let loss = loss.forward(&x, &Labels::new([1])?)?; // 60 degrees and 30 to the own class, 30 to the other
/// assert!((loss.to_f64()? - (2. * 0.75f64.sqrt()).exp().ln_1p()).abs() < 1e-14);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ArcFace {
    weights: ClassWeights,
    margin: f64,
    scale: f64,
}

one_row_per_class!(ArcFace, "ArcFace", { margin: 28.6, scale: 64. });
setting!(ArcFace, with_margin, margin, check_margin, "With margin m in degrees, from 0 and below 180.");
setting!(ArcFace, with_scale, scale, |s| above_zero("the scale", s), "With scale s > 0.");

pub(crate) fn check_margin(degrees: f64) -> Result<f64> {
    within("the margin", degrees, (0. ..180.).contains(&degrees), "from 0 and below 180 degrees")
}

/// psi of cosines in f64.
pub(crate) fn with_angle(cosines: &Tensor, degrees: f64) -> Result<Tensor> {
    let m = degrees.to_radians();
    // theta <= pi - m
    let within = cosines.ge(-m.cos())?;
    Ok(within.where_cond(&plus_angle(cosines, m)?, &(cosines - m * m.sin())?)?)
}

impl Loss for ArcFace {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.weights.margin_softmax(embeddings, labels, self.scale, |cosines| with_angle(cosines, self.margin))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

use crate::class_weights::{ClassWeights, one_row_per_class, setting};
use crate::setting::{above_zero, from_zero};
use crate::{Loss, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::Labels;

/// CosFace (large-margin cosine loss): normalised softmax with a margin taken off the own class's cosine.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s (cos(x_i, w_c) - cos(x_i, w_{y_i}) + m)))
/// ```
/// m = 0.35 and s = 64 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; weights w: (C, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and weights, finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed over the classes: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Wang et al., CVPR 2018 (arXiv 1801.09414), equation 4. Values as pytorch-metric-learning's `CosFaceLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{CosFace, Loss};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = CosFace::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_margin(0.5)?.with_scale(2.)?;
/// let loss = loss.forward(&x, &Labels::new([1])?)?; // logits 2 (1 - 0.5) and 0
/// assert!((loss.to_f64()? - (-1f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CosFace {
    weights: ClassWeights,
    margin: f64,
    scale: f64,
}

one_row_per_class!(CosFace, "CosFace", { margin: 0.35, scale: 64. });
setting!(CosFace, with_margin, margin, |m| from_zero("the margin", m), "With margin m >= 0.");
setting!(CosFace, with_scale, scale, |s| above_zero("the scale", s), "With scale s > 0.");

impl Loss for CosFace {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.weights.margin_softmax(embeddings, labels, self.scale, |cosines| Ok((cosines - self.margin)?))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

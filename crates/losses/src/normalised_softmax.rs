use crate::class_weights::{ClassWeights, one_row_per_class, setting};
use crate::setting::above_zero;
use crate::{Loss, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::Labels;

/// Normalised softmax: cross-entropy over all training classes with cosines as logits.
///
/// ```text
/// L = 1/B  sum_i  log sum_c exp(cos(x_i, w_c) / T)  -  cos(x_i, w_{y_i}) / T
/// ```
/// T = 0.05 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; weights w: (C, D), trained; a scalar.
///
/// # Units
/// Nats; log C when all cosines are equal.
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
/// Zhai and Wu, BMVC 2019 (arXiv 1811.12649). Values as pytorch-metric-learning's `NormalizedSoftmaxLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, NormalisedSoftmax};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = NormalisedSoftmax::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_temperature(0.5)?;
/// let loss = loss.forward(&x, &Labels::new([1])?)?; // logits 2 and 0
/// assert!((loss.to_f64()? - (-2f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NormalisedSoftmax {
    weights: ClassWeights,
    temperature: f64,
}

one_row_per_class!(NormalisedSoftmax, "normalised softmax", { temperature: 0.05 });
setting!(
    NormalisedSoftmax,
    with_temperature,
    temperature,
    |t| above_zero("the temperature", t),
    "With temperature T > 0."
);

impl Loss for NormalisedSoftmax {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.weights.margin_softmax(embeddings, labels, 1. / self.temperature, |cosines| Ok(cosines.clone()))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

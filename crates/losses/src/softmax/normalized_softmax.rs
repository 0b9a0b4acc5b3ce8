use super::class_weights::ClassWeights;
use super::long_tail::weights_of;
use crate::setting::above_zero;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::ClassId;

/// Normalized softmax: cross-entropy over all training classes with cosines as logits.
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
/// # use npair_losses::{Batch, Loss, NormalizedSoftmax};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = NormalizedSoftmax::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_temperature(0.5)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?; // logits 2 and 0
/// assert!((loss.to_f64()? - (-2f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NormalizedSoftmax {
    weights: ClassWeights,
    temperature: f64,
}

npair_types::settings! {
    /// Softmax over cosines (Zhai and Wu, 2019). The usual value is the paper's and pytorch-metric-learning's.
    pub struct NormalizedSoftmaxSettings {
        /// Temperature T, above 0.
        temperature: f64 = 0.05,
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
    }
}

impl LossSettings for NormalizedSoftmaxSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = NormalizedSoftmax::new(context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        Ok(Box::new(loss.with_temperature(self.temperature)?))
    }
}

impl NormalizedSoftmax {
    /// For the classes of the context, weights uniform within `1 / sqrt(D)`, with the usual [`NormalizedSoftmaxSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::new("normalized softmax", 1, context)?))
    }

    /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, [`Error::Shape`](crate::Error::Shape) if the
    /// weights do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("normalized softmax", classes, 1, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let NormalizedSoftmaxSettings { temperature, .. } = Default::default();
        Self { weights, temperature }
    }

    /// With temperature T > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_temperature(self, temperature: f64) -> Result<Self> {
        Ok(Self { temperature: above_zero("the temperature", temperature)?, ..self })
    }

    /// With the terms of each class times its weight, in the order of the classes:
    /// [`class_weights_by_size`](crate::class_weights_by_size), or any other.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one for every class, [`Error::Setting`](crate::Error::Setting) for one
    /// below 0.
    pub fn with_class_weights(self, weights: &[f64]) -> Result<Self> {
        Ok(Self { weights: self.weights.with_term_weights(weights)?, ..self })
    }
}

impl Loss for NormalizedSoftmax {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        self.weights.margin_softmax(batch, 1. / self.temperature, |cosines, _| Ok(cosines.clone()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "normalized softmax"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

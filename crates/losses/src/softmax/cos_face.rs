use super::class_weights::ClassWeights;
use super::long_tail::{OfClasses, margins_of, weights_of};
use crate::setting::{above_zero, from_zero};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::ClassId;

/// CosFace (large-margin cosine loss): normalized softmax with a margin taken off the own class's cosine.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s (cos(x_i, w_c) - cos(x_i, w_{y_i}) + m)))
/// ```
/// m = 0.35 and s = 64 unless set: the paper's and pytorch-metric-learning's. With
/// [margins by class size](Self::with_class_margins) it is the LDAM loss (Cao et al., NeurIPS 2019, equation 13).
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
/// # use npair_losses::{Batch, CosFace, Loss};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = CosFace::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_margin(0.5)?.with_scale(2.)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?; // logits 2 (1 - 0.5) and 0
/// assert!((loss.to_f64()? - (-1f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CosFace {
    weights: ClassWeights,
    margin: f64,
    /// Margins of classes, in the place of the one.
    margins: OfClasses,
    scale: f64,
}

npair_types::settings! {
    /// CosFace (Wang et al., 2018). The usual values are the paper's and pytorch-metric-learning's.
    pub struct CosFaceSettings {
        /// Margin m of the cosine, from 0.
        margin: f64 = 0.35,
        /// Scale s, above 0.
        scale: f64 = 64.0,
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
        /// Power p of margins by class size, margin (n_min / n)^p, from 0 (all alike); 0.25 as LDAM has it.
        margin_power: f64 = 0.0,
    }
}

impl LossSettings for CosFaceSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = CosFace::new(context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        let margins = margins_of(context, self.margin, self.margin_power)?;
        Ok(Box::new(loss.with_margin(self.margin)?.with_class_margins(&margins)?.with_scale(self.scale)?))
    }
}

impl CosFace {
    /// For the classes of the context, weights uniform within `1 / sqrt(D)`, with the usual [`CosFaceSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::new("CosFace", 1, context)?))
    }

    /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, [`Error::Shape`](crate::Error::Shape) if the
    /// weights do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("CosFace", classes, 1, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let CosFaceSettings { margin, scale, .. } = Default::default();
        Self { weights, margin, margins: OfClasses::default(), scale }
    }

    /// With margin m >= 0 for all classes.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_margin(self, margin: f64) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)?, margins: OfClasses::default(), ..self })
    }

    /// With a margin m_c >= 0 for every class, in their order: [`margins_by_size`](crate::margins_by_size), which makes the LDAM loss
    /// of this one, or any other.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one for every class, [`Error::Setting`](crate::Error::Setting) for one
    /// below 0.
    pub fn with_class_margins(self, margins: &[f64]) -> Result<Self> {
        let margins = OfClasses::new("the margins of classes", margins, (self.weights.classes(), self.margin))?;
        Ok(Self { margins, ..self })
    }

    /// With scale s > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_scale(self, scale: f64) -> Result<Self> {
        Ok(Self { scale: above_zero("the scale", scale)?, ..self })
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

impl Loss for CosFace {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        self.weights.margin_softmax(batch, self.scale, |cosines, places| {
            Ok(match self.margins.like(places, cosines)? {
                None => (cosines - self.margin)?,
                Some(margins) => (cosines - margins)?,
            })
        })
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "CosFace"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

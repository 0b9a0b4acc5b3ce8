use crate::setting::{above_zero, from_zero};
use crate::softmax::class_weights::ClassWeights;
use crate::softmax::long_tail::weights_of;
use crate::stable::own_logit;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{D, Tensor, Var};
use npair_types::ClassId;

/// SoftTriple loss: normalized softmax with several centers per class, weighed softly by nearness, and a margin.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(l (S_ic - S_{i y_i} + d)))
/// S_ic = sum_k q_ick cos(x_i, w_ck),   q_ick = exp(cos(x_i, w_ck) / g) / sum_k' exp(cos(x_i, w_ck') / g)
/// ```
/// l = 20, g = 0.1 and d = 0.01 unless set, the paper's and pytorch-metric-learning's; both take K = 10 centers. The
/// paper's penalty that merges centers is not in here.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; centers w: (C * K, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and centers, finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// In f64, with B C K cosines kept: O(B C K + (B + C K) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Qian et al., ICCV 2019 (arXiv 1909.05235). Values as pytorch-metric-learning's `SoftTripleLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, SoftTriple};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[1f64, 0.], [0., 1.], [0., 2.], [0., 1.]], &Device::Cpu)?;
/// let loss = SoftTriple::from_parts(&[ClassId(1), ClassId(2)], 2, &weights)?.with_lambda(3.)?.with_gamma(1.)?.with_margin(0.)?;
/// // Cosines 1 and 0 to the own centers, weighed e : 1; 0 and 0 to the others.
/// let x = Tensor::new(&[[5f64, 0.]], &Device::Cpu)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?;
/// let own = 1f64.exp() / (1f64.exp() + 1.);
/// assert!((loss.to_f64()? - (-3. * own).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SoftTriple {
    weights: ClassWeights,
    lambda: f64,
    gamma: f64,
    margin: f64,
}

npair_types::settings! {
    /// SoftTriple (Qian et al., 2019). The usual values are the paper's and pytorch-metric-learning's.
    pub struct SoftTripleSettings {
        /// Centers K of a class, at least 1.
        #[serde(alias = "centres")]
        centers: usize = 10,
        /// Factor l of logits, above 0.
        lambda: f64 = 20.0,
        /// Margin d, from 0.
        margin: f64 = 0.01,
        /// Temperature g among the centers of a class, above 0.
        gamma: f64 = 0.1,
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
    }
}

impl LossSettings for SoftTripleSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss =
            SoftTriple::new(self.centers, context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        Ok(Box::new(loss.with_lambda(self.lambda)?.with_gamma(self.gamma)?.with_margin(self.margin)?))
    }
}

impl SoftTriple {
    /// For the classes of the context, each with `centers` centers, uniform within `1 / sqrt(D)`; with the usual
    /// [`SoftTripleSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, no center or a width of 0; candle's.
    pub fn new(centers: usize, context: &mut LossContext) -> Result<Self> {
        let weights = ClassWeights::new("SoftTriple loss", centers, context)?;
        Ok(Self::of_weights(weights))
    }

    /// With given weights (C * K, D), the K centers of a class one after the other, classes in the order of `classes`;
    /// whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or no center,
    /// [`Error::Shape`](crate::Error::Shape) if the weights do not fit them.
    pub fn from_parts(classes: &[ClassId], centers: usize, weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("SoftTriple loss", classes, centers, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let SoftTripleSettings { lambda, gamma, margin, .. } = Default::default();
        Self { weights, lambda, gamma, margin }
    }

    /// With logits multiplied by l > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_lambda(self, lambda: f64) -> Result<Self> {
        Ok(Self { lambda: above_zero("lambda", lambda)?, ..self })
    }

    /// With temperature g > 0 of the weights of centers.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_gamma(self, gamma: f64) -> Result<Self> {
        Ok(Self { gamma: above_zero("gamma", gamma)?, ..self })
    }

    /// With margin d >= 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_margin(self, margin: f64) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)?, ..self })
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

impl Loss for SoftTriple {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let places = self.weights.places(batch)?;
        let cosines = self.weights.cosines(batch.embeddings())?;
        let nearest = cosines.max_keepdim(D::Minus1)?.detach();
        let shares = (cosines.broadcast_sub(&nearest)? / self.gamma)?.exp()?;
        let of_classes = (cosines * &shares)?.sum(D::Minus1)?.div(&shares.sum(D::Minus1)?)?;
        let terms = own_logit(&(of_classes * self.lambda)?, &places, |own| Ok((own - self.lambda * self.margin)?))?;
        Ok(LossValue::smooth(self.weights.mean(&terms, &places)?.to_dtype(batch.embeddings().dtype())?, places.len()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "SoftTriple loss"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("centers")
    }
}

use crate::rows::unit_rows;
use crate::setting::{above_zero, finite};
use crate::softmax::class_weights::ClassWeights;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_similarity::{Mask, Similarity};
use npair_types::{ClassId, Measure};

/// Proxy-anchor loss: every class's proxy against all examples of the batch, near ones of its class and far ones of others
/// in soft maxima.
///
/// ```text
/// L = 1/|C+|  sum_{c in C+}  log(1 + sum_{i: y_i = c}  exp(-a (cos(x_i, p_c) - m)))
///   + 1/C     sum_c          log(1 + sum_{i: y_i != c} exp( a (cos(x_i, p_c) + m)))
/// ```
/// C+ are the classes present in the batch. a = 32 and m = 0.1 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; proxies p: (C, D), trained; a scalar. `terms` is C. Both are
/// normalized here.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and proxies, finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed over the batch: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Kim et al., CVPR 2020 (arXiv 2003.13911), equation 4. Values as pytorch-metric-learning's `ProxyAnchorLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, ProxyAnchor};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = ProxyAnchor::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_alpha(2.)?.with_margin(0.5)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?; // the own proxy: exp(-2 (1 - 0.5)); the other: exp(2 (0 + 0.5)), of 2
/// assert!((loss.to_f64()? - ((-1f64).exp().ln_1p() + 1f64.exp().ln_1p() / 2.)).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProxyAnchor {
    weights: ClassWeights,
    alpha: f64,
    margin: f64,
}

npair_types::settings! {
    /// Proxy-anchor (Kim et al., 2020). The usual values are the paper's and pytorch-metric-learning's.
    pub struct ProxyAnchorSettings {
        /// Sharpness a, above 0.
        alpha: f64 = 32.0,
        /// Margin m of the cosine.
        margin: f64 = 0.1,
    }
}

impl LossSettings for ProxyAnchorSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = ProxyAnchor::new(context)?;
        Ok(Box::new(loss.with_alpha(self.alpha)?.with_margin(self.margin)?))
    }
}

impl ProxyAnchor {
    /// For the classes of the context, weights uniform within `1 / sqrt(D)`, with the usual [`ProxyAnchorSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::new("proxy-anchor loss", 1, context)?))
    }

    /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, [`Error::Shape`](crate::Error::Shape) if the
    /// weights do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("proxy-anchor loss", classes, 1, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let ProxyAnchorSettings { alpha, margin } = Default::default();
        Self { weights, alpha, margin }
    }

    /// With sharpness a > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_alpha(self, alpha: f64) -> Result<Self> {
        Ok(Self { alpha: above_zero("alpha", alpha)?, ..self })
    }

    /// With margin m.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_margin(self, margin: f64) -> Result<Self> {
        Ok(Self { margin: finite("the margin", margin)?, ..self })
    }
}

impl Loss for ProxyAnchor {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        self.weights.places(batch)?;
        let (labels, rows, proxies) = (batch.labels(), unit_rows(batch.embeddings())?, self.weights.unit()?);
        let classes = self.weights.classes();
        let half = |slope: f64, mask: Mask| -> Result<Tensor> {
            // Both halves are above alpha times the margin's side: -a (c - m) = -a c + a m, a (c + m) = a c + a m.
            let shift = (Tensor::ones(classes, rows.dtype(), rows.device())? * (-self.alpha * self.margin))?;
            let all = Similarity::new(&(&proxies * slope)?, &rows, Measure::Dot)?;
            Ok(all.log1p_sum_exp_above(&shift, &mask)?.sum_all()?)
        };
        // A class without an example has an empty sum: log 1.
        let near = half(-self.alpha, Mask::same_class(self.weights.of_rows(), labels))?;
        let far = half(self.alpha, Mask::other_class(self.weights.of_rows(), labels))?;
        let present = labels.classes().len() as f64;
        let value = ((near / present)? + (far / classes as f64)?)?;
        Ok(LossValue::smooth(value, classes))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "proxy-anchor loss"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("proxies")
    }
}

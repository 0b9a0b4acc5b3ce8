use crate::setting::above_zero;
use crate::softmax::class_weights::ClassWeights;
use crate::softmax::long_tail::weights_of;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::ClassId;

/// Proxy-NCA: the share of the own class's proxy in the soft-max of negative squared distances to all proxies, all of
/// length 1.
///
/// ```text
/// L = 1/B  sum_i  -log( exp(-s |x_i - p_{y_i}|^2) / sum_c exp(-s |x_i - p_c|^2) )
/// ```
/// The own proxy stands in the denominator too, as in all published code; the paper's formula leaves it out, which is not
/// bounded below. s = 1 unless set.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; proxies p: (C, D), trained; a scalar. Both are normalized here.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and proxies, finite everywhere; a zero row counts as at cosine 0 from all.
///
/// # Numerics
/// For rows of length 1 this is a softmax of `2 s cos`; streamed over the classes: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Movshovitz-Attias et al., ICCV 2017 (arXiv 1703.07464). Values as pytorch-metric-learning's `ProxyNCALoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, ProxyNca};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = ProxyNca::from_parts(&[ClassId(1), ClassId(2)], &weights)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?; // squared distances 0 and 2
/// assert!((loss.to_f64()? - (-2f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProxyNca {
    weights: ClassWeights,
    scale: f64,
}

npair_types::settings! {
    /// Proxy-NCA (Movshovitz-Attias et al., 2017). The usual value is the paper's and pytorch-metric-learning's.
    pub struct ProxyNcaSettings {
        /// Scale s, above 0.
        scale: f64 = 1.0,
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
    }
}

impl LossSettings for ProxyNcaSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = ProxyNca::new(context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        Ok(Box::new(loss.with_scale(self.scale)?))
    }
}

impl ProxyNca {
    /// For the classes of the context, weights uniform within `1 / sqrt(D)`, with the usual [`ProxyNcaSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::new("Proxy-NCA", 1, context)?))
    }

    /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, [`Error::Shape`](crate::Error::Shape) if the
    /// weights do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("Proxy-NCA", classes, 1, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let ProxyNcaSettings { scale, .. } = Default::default();
        Self { weights, scale }
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

impl Loss for ProxyNca {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        self.weights.margin_softmax(batch, 2. * self.scale, |cosines, _| Ok(cosines.clone()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "Proxy-NCA"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("proxies")
    }
}

use crate::class_weights::{ClassWeights, setting};
use crate::setting::{above_zero, from_zero};
use crate::stable::own_logit;
use crate::{Loss, LossValue, Result};
use candle_core::{D, DType, Device, Tensor, Var};
use npair_types::{ClassId, Labels};
use rand_chacha::ChaCha8Rng;

/// SoftTriple loss: normalised softmax with several centres per class, weighed softly by nearness, and a margin.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(l (S_ic - S_{i y_i} + d)))
/// S_ic = sum_k q_ick cos(x_i, w_ck),   q_ick = exp(cos(x_i, w_ck) / g) / sum_k' exp(cos(x_i, w_ck') / g)
/// ```
/// l = 20, g = 0.1 and d = 0.01 unless set, the paper's and pytorch-metric-learning's; both take K = 10 centres. The
/// paper's penalty that merges centres is not in here.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; centres w: (C * K, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and centres, finite everywhere; a zero row is at cosine 0 from all.
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
/// # use npair_losses::{Loss, SoftTriple};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[1f64, 0.], [0., 1.], [0., 2.], [0., 1.]], &Device::Cpu)?;
/// let loss = SoftTriple::from_parts(&[ClassId(1), ClassId(2)], 2, &weights)?.with_lambda(3.)?.with_gamma(1.)?.with_margin(0.)?;
/// // Cosines 1 and 0 to the own centres, weighed e : 1; 0 and 0 to the others.
/// let loss = loss.forward(&Tensor::new(&[[5f64, 0.]], &Device::Cpu)?, &Labels::new([1])?)?;
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

impl SoftTriple {
    /// For `classes`, each with `centres` centres, and embeddings of width `d`; weights uniform within `1 / sqrt(D)`,
    /// settings as the type's documentation says.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, no centre or a width of 0; candle's.
    pub fn new(
        classes: &[ClassId],
        centres: usize,
        d: usize,
        rng: &mut ChaCha8Rng,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let weights = ClassWeights::new("SoftTriple loss", classes, centres, d, rng, dtype, device)?;
        Ok(Self { weights, lambda: 20., gamma: 0.1, margin: 0.01 })
    }

    /// With given weights (C * K, D), the K centres of a class one after the other, classes in the order of `classes`;
    /// whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or no centre,
    /// [`Error::Shape`](crate::Error::Shape) if the weights do not fit them.
    pub fn from_parts(classes: &[ClassId], centres: usize, weights: &Tensor) -> Result<Self> {
        let weights = ClassWeights::from_parts("SoftTriple loss", classes, centres, weights)?;
        Ok(Self { weights, lambda: 20., gamma: 0.1, margin: 0.01 })
    }
}

setting!(SoftTriple, with_lambda, lambda, |l| above_zero("lambda", l), "With logits multiplied by l > 0.");
setting!(
    SoftTriple,
    with_gamma,
    gamma,
    |g| above_zero("gamma", g),
    "With temperature g > 0 of the weights of centres."
);
setting!(SoftTriple, with_margin, margin, |d| from_zero("the margin", d), "With margin d >= 0.");

impl Loss for SoftTriple {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let places = self.weights.places(embeddings, labels)?;
        let cosines = self.weights.cosines(embeddings)?;
        let nearest = cosines.max_keepdim(D::Minus1)?.detach();
        let shares = (cosines.broadcast_sub(&nearest)? / self.gamma)?.exp()?;
        let of_classes = (cosines * &shares)?.sum(D::Minus1)?.div(&shares.sum(D::Minus1)?)?;
        let terms = own_logit(&(of_classes * self.lambda)?, &places, |own| Ok((own - self.lambda * self.margin)?))?;
        Ok(LossValue::smooth(terms.mean_all()?.to_dtype(embeddings.dtype())?, labels.len()))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("centres")
    }
}

use crate::arc_face::{check_margin, with_angle};
use crate::class_weights::{ClassWeights, setting};
use crate::setting::above_zero;
use crate::stable::own_logit;
use crate::{Loss, LossValue, Result};
use candle_core::{D, DType, Device, Tensor, Var};
use npair_types::{ClassId, Labels};
use rand_chacha::ChaCha8Rng;

/// Sub-centre ArcFace: [`ArcFace`](crate::ArcFace) with several centres per class, the nearest of which speaks for it, so
/// that mislabelled examples find a centre of their own.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s (cos_ic - psi(theta_{i y_i}))))
/// cos_ic = max_k cos(x_i, w_ck),  psi as of ArcFace
/// ```
/// m = 28.6 degrees and s = 64 unless set; K = 3 centres are pytorch-metric-learning's and the paper's choice.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; weights w: (C * K, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and to the nearest centre of each class (the first of equals), finite everywhere.
///
/// # Numerics
/// In f64, with B C K cosines kept: O(B C K + (B + C K) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Deng et al., ECCV 2020, section 3.2; pytorch-metric-learning's `SubCenterArcFaceLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, SubCentreArcFace};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[-1f64, 0.], [2., 0.], [0., 1.], [0., -1.]], &Device::Cpu)?;
/// let loss = SubCentreArcFace::from_parts(&[ClassId(1), ClassId(2)], 2, &weights)?.with_margin(30.)?.with_scale(2.)?;
/// // The nearest centre of the own class is at 60 degrees, with the margin at 90; that of the other at 30.
/// let x = Tensor::new(&[[0.5f64, 0.75f64.sqrt()]], &Device::Cpu)?;
/// let loss = loss.forward(&x, &Labels::new([1])?)?;
/// assert!((loss.to_f64()? - (2. * 0.75f64.sqrt()).exp().ln_1p()).abs() < 1e-14);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SubCentreArcFace {
    weights: ClassWeights,
    margin: f64,
    scale: f64,
}

impl SubCentreArcFace {
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
        let weights = ClassWeights::new("sub-centre ArcFace", classes, centres, d, rng, dtype, device)?;
        Ok(Self { weights, margin: 28.6, scale: 64. })
    }

    /// With given weights (C * K, D), the K centres of a class one after the other, classes in the order of `classes`;
    /// whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or no centre,
    /// [`Error::Shape`](crate::Error::Shape) if the weights do not fit them.
    pub fn from_parts(classes: &[ClassId], centres: usize, weights: &Tensor) -> Result<Self> {
        let weights = ClassWeights::from_parts("sub-centre ArcFace", classes, centres, weights)?;
        Ok(Self { weights, margin: 28.6, scale: 64. })
    }
}

setting!(SubCentreArcFace, with_margin, margin, check_margin, "With margin m in degrees, from 0 and below 180.");
setting!(SubCentreArcFace, with_scale, scale, |s| above_zero("the scale", s), "With scale s > 0.");

impl Loss for SubCentreArcFace {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let places = self.weights.places(embeddings, labels)?;
        let all = self.weights.cosines(embeddings)?;
        // By place, not by `max`, which would give the full gradient to each of equal centres.
        let nearest = all.detach().argmax_keepdim(D::Minus1)?;
        let cosines = all.gather(&nearest, D::Minus1)?.squeeze(D::Minus1)?;
        let terms = own_logit(&(&cosines * self.scale)?, &places, |own| {
            Ok((with_angle(&(own / self.scale)?, self.margin)? * self.scale)?)
        })?;
        Ok(LossValue::smooth(terms.mean_all()?.to_dtype(embeddings.dtype())?, labels.len()))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

use super::arc_face::{Angles, check_margin};
use super::class_weights::ClassWeights;
use super::long_tail::{margins_of, weights_of};
use crate::setting::above_zero;
use crate::stable::own_logit;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{D, Tensor, Var};
use npair_types::ClassId;

/// Sub-center ArcFace: [`ArcFace`](crate::ArcFace) with several centers per class, the nearest of which speaks for it, so
/// that mislabelled examples find a center of their own.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s (cos_ic - psi(theta_{i y_i}))))
/// cos_ic = max_k cos(x_i, w_ck),  psi as of ArcFace
/// ```
/// m = 28.6 degrees and s = 64 unless set; K = 3 centers are pytorch-metric-learning's and the paper's choice.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; weights w: (C * K, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and to the nearest center of each class (the first of equals), finite everywhere.
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
/// # use npair_losses::{Batch, Loss, SubCenterArcFace};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[-1f64, 0.], [2., 0.], [0., 1.], [0., -1.]], &Device::Cpu)?;
/// let loss = SubCenterArcFace::from_parts(&[ClassId(1), ClassId(2)], 2, &weights)?.with_margin(30.)?.with_scale(2.)?;
/// // The nearest center of the own class is at 60 degrees, with the margin at 90; that of the other at 30.
/// let x = Tensor::new(&[[0.5f64, 0.75f64.sqrt()]], &Device::Cpu)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?;
/// assert!((loss.to_f64()? - (2. * 0.75f64.sqrt()).exp().ln_1p()).abs() < 1e-14);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SubCenterArcFace {
    weights: ClassWeights,
    margins: Angles,
    scale: f64,
}

npair_types::settings! {
    /// ArcFace with several centers a class (Deng et al., 2020). The usual values are the paper's and pytorch-metric-learning's.
    pub struct SubCenterArcFaceSettings {
        /// Centers K of a class, at least 1.
        #[serde(alias = "centres")]
        centers: usize = 3,
        /// Margin m in degrees, from 0 and below 180.
        margin: f64 = 28.6,
        /// Scale s, above 0.
        scale: f64 = 64.0,
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
        /// Power p of margins by class size, margin (n_min / n)^p, from 0 (all alike); 0.25 as LDAM has it.
        margin_power: f64 = 0.0,
    }
}

impl LossSettings for SubCenterArcFaceSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss =
            SubCenterArcFace::new(self.centers, context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        let margins = margins_of(context, self.margin, self.margin_power)?;
        Ok(Box::new(loss.with_margin(self.margin)?.with_class_margins(&margins)?.with_scale(self.scale)?))
    }
}

impl SubCenterArcFace {
    /// For the classes of the context, each with `centers` centers, uniform within `1 / sqrt(D)`; with the usual
    /// [`SubCenterArcFaceSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, no center or a width of 0; candle's.
    pub fn new(centers: usize, context: &mut LossContext) -> Result<Self> {
        let weights = ClassWeights::new("sub-center ArcFace", centers, context)?;
        Ok(Self::of_weights(weights))
    }

    /// With given weights (C * K, D), the K centers of a class one after the other, classes in the order of `classes`;
    /// whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or no center,
    /// [`Error::Shape`](crate::Error::Shape) if the weights do not fit them.
    pub fn from_parts(classes: &[ClassId], centers: usize, weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("sub-center ArcFace", classes, centers, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let SubCenterArcFaceSettings { margin, scale, .. } = Default::default();
        Self { weights, margins: Angles::all(margin), scale }
    }

    /// With margin m in degrees, from 0 and below 180, for all classes.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_margin(self, margin: f64) -> Result<Self> {
        Ok(Self { margins: Angles::all(check_margin(margin)?), ..self })
    }

    /// With a margin m_c in degrees for every class, in their order: [`margins_by_size`](crate::margins_by_size), or any other.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one for every class, [`Error::Setting`](crate::Error::Setting) for one
    /// out of range.
    pub fn with_class_margins(self, margins: &[f64]) -> Result<Self> {
        Ok(Self { margins: self.margins.of_classes(margins, self.weights.classes())?, ..self })
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

impl Loss for SubCenterArcFace {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let places = self.weights.places(batch)?;
        let all = self.weights.cosines(batch.embeddings())?;
        // By place, not by `max`, which would give the full gradient to each of equal centers.
        let nearest = all.detach().argmax_keepdim(D::Minus1)?;
        let cosines = all.gather(&nearest, D::Minus1)?.squeeze(D::Minus1)?;
        let terms = own_logit(&(&cosines * self.scale)?, &places, |own| {
            Ok((self.margins.psi(&(own / self.scale)?, &places)? * self.scale)?)
        })?;
        Ok(LossValue::smooth(self.weights.mean(&terms, &places)?.to_dtype(batch.embeddings().dtype())?, places.len()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "sub-center ArcFace"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

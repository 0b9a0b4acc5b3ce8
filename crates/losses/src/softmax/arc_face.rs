use super::class_weights::ClassWeights;
use super::long_tail::{OfClasses, margins_of, weights_of};
use crate::angle::{plus_angle, plus_angles};
use crate::device::upload;
use crate::setting::{above_zero, within};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::ClassId;

/// ArcFace (additive angular margin loss): normalized softmax with a margin added to the own class's angle.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s (cos(theta_ic) - psi(theta_{i y_i}))))
/// psi(theta) = cos(theta + m)            if theta + m <= 180 degrees
///              cos(theta) - m sin(m)     beyond, so that the loss keeps falling with theta
/// ```
/// m = 28.6 degrees (0.5 radians) and s = 64 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings: (B, D) with labels among the C classes; weights: (C, D), trained; a scalar.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and weights. Finite everywhere: `cos(theta + m)` is taken as `c cos m - sqrt(1 - c^2) sin m` in f64, the
/// root held from 1e-7. A zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed over the classes: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Deng et al., CVPR 2019 (arXiv 1801.07698), equation 3. Values as pytorch-metric-learning's `ArcFaceLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{ArcFace, Batch, Loss};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[0.5f64, 0.75f64.sqrt()]], &Device::Cpu)?;
/// let loss = ArcFace::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_margin(30.)?.with_scale(2.)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?; // 60 degrees and 30 to the own class, 30 to the other
/// assert!((loss.to_f64()? - (2. * 0.75f64.sqrt()).exp().ln_1p()).abs() < 1e-14);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ArcFace {
    weights: ClassWeights,
    margins: Angles,
    scale: f64,
}

npair_types::settings! {
    /// ArcFace (Deng et al., 2019). The usual values are the paper's (0.5 radians) and pytorch-metric-learning's.
    pub struct ArcFaceSettings {
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

impl LossSettings for ArcFaceSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = ArcFace::new(context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        let margins = margins_of(context, self.margin, self.margin_power)?;
        Ok(Box::new(loss.with_margin(self.margin)?.with_class_margins(&margins)?.with_scale(self.scale)?))
    }
}

impl ArcFace {
    /// For the classes of the context, weights uniform within `1 / sqrt(D)`, with the usual [`ArcFaceSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::new("ArcFace", 1, context)?))
    }

    /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, [`Error::Shape`](crate::Error::Shape) if the
    /// weights do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("ArcFace", classes, 1, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let ArcFaceSettings { margin, scale, .. } = Default::default();
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

pub(crate) fn check_margin(degrees: f64) -> Result<f64> {
    within("the margin", degrees, (0. ..180.).contains(&degrees), "from 0 and below 180 degrees")
}

/// Margins in degrees: one for all classes, or one for each.
#[derive(Debug, Clone)]
pub(crate) struct Angles {
    all: f64,
    of_classes: OfClasses,
}

impl Angles {
    pub(crate) fn all(degrees: f64) -> Self {
        Self { all: degrees, of_classes: OfClasses::default() }
    }

    /// The same with one for each of C classes.
    pub(crate) fn of_classes(&self, degrees: &[f64], classes: usize) -> Result<Self> {
        let of_classes = OfClasses::new("the margins of classes", degrees, (classes, self.all))?;
        degrees.iter().try_for_each(|&margin| check_margin(margin).map(|_| ()))?;
        Ok(Self { of_classes, ..*self })
    }

    /// psi of own cosines (B) in f64, of rows whose classes are at these places.
    pub(crate) fn psi(&self, cosines: &Tensor, places: &[usize]) -> Result<Tensor> {
        match self.of_classes.of_rows(places) {
            None => with_angle(cosines, self.all),
            Some(degrees) => with_angles(cosines, &degrees),
        }
    }
}

fn with_angle(cosines: &Tensor, degrees: f64) -> Result<Tensor> {
    let m = degrees.to_radians();
    // theta <= pi - m
    let within = cosines.ge(-m.cos())?;
    Ok(within.where_cond(&plus_angle(cosines, m)?, &(cosines - m * m.sin())?)?)
}

fn with_angles(cosines: &Tensor, degrees: &[f64]) -> Result<Tensor> {
    let of_angles = |of: fn(f64) -> f64| {
        let values = degrees.iter().map(|d| of(d.to_radians())).collect();
        upload(values, degrees.len(), cosines.dtype(), cosines.device())
    };
    let (cos_m, sin_m, beyond) = (of_angles(f64::cos)?, of_angles(f64::sin)?, of_angles(|m| m * m.sin())?);
    let within = cosines.ge(&cos_m.neg()?)?;
    Ok(within.where_cond(&plus_angles(cosines, (&cos_m, &sin_m))?, &(cosines - beyond)?)?)
}

impl Loss for ArcFace {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        self.weights.margin_softmax(batch, self.scale, |cosines, places| self.margins.psi(cosines, places))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "ArcFace"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

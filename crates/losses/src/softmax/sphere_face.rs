use super::class_weights::ClassWeights;
use super::long_tail::weights_of;
use crate::device::{is_on_device, to_f64};
use crate::rows::{dots, unit_rows};
use crate::setting::{above_zero, at_least};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::ClassId;

/// SphereFace (angular softmax): softmax with weights of length 1, the own class's angle multiplied by a whole number.
///
/// ```text
/// L = 1/B  sum_i  log(1 + sum_{c != y_i} exp(s |x_i| (cos(theta_ic) - psi(theta_{i y_i}))))
/// psi(theta) = (-1)^k cos(m theta) - 2 k,   k = floor(m theta / pi)
/// ```
/// m = 4 and s = 1 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; weights: (C, D), trained; a scalar. Embeddings keep their length.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and weights, finite everywhere: `cos(m theta)` is a polynomial of the cosine.
///
/// # Numerics
/// Streamed over the classes: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Liu et al., CVPR 2017 (arXiv 1704.08063), equation 7. Values as pytorch-metric-learning's `SphereFaceLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, SphereFace};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[1f64, 3f64.sqrt()]], &Device::Cpu)?;
/// let loss = SphereFace::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_margin(2)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1])?)?)?; // |x| = 2; 60 degrees, so k = 0 and psi = cos 120
/// assert!((loss.to_f64()? - (2. * (0.75f64.sqrt() + 0.5)).exp().ln_1p()).abs() < 1e-14);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SphereFace {
    weights: ClassWeights,
    margin: u32,
    scale: f64,
}

npair_types::settings! {
    /// SphereFace (Liu et al., 2017). The usual values are the paper's and pytorch-metric-learning's.
    pub struct SphereFaceSettings {
        /// How often m the angle is taken, at least once.
        margin: u32 = 4,
        /// Scale s, above 0.
        scale: f64 = 1.0,
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
    }
}

impl LossSettings for SphereFaceSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = SphereFace::new(context)?.with_class_weights(&weights_of(context, self.class_beta)?)?;
        Ok(Box::new(loss.with_margin(self.margin)?.with_scale(self.scale)?))
    }
}

impl SphereFace {
    /// For the classes of the context, weights uniform within `1 / sqrt(D)`, with the usual [`SphereFaceSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::new("SphereFace", 1, context)?))
    }

    /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes, [`Error::Shape`](crate::Error::Shape) if the
    /// weights do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor) -> Result<Self> {
        Ok(Self::of_weights(ClassWeights::from_parts("SphereFace", classes, 1, weights)?))
    }

    fn of_weights(weights: ClassWeights) -> Self {
        let SphereFaceSettings { margin, scale, .. } = Default::default();
        Self { weights, margin, scale }
    }

    /// With the angle taken `margin` times, m >= 1.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if it is out of range.
    pub fn with_margin(self, margin: u32) -> Result<Self> {
        Ok(Self {
            margin: {
                at_least("the margin", margin as usize, 1, "a whole number above 0")?;
                margin
            },
            ..self
        })
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

impl SphereFace {
    /// psi of cosines in f64.
    fn psi(&self, cosines: &Tensor) -> Result<Tensor> {
        let m = self.margin;
        // cos(m theta) by cos((j + 1) theta) = 2 cos(theta) cos(j theta) - cos((j - 1) theta).
        let (mut before, mut multiple) = (cosines.ones_like()?, cosines.clone());
        for _ in 1..m {
            let next = ((cosines * &multiple)? * 2.)?.sub(&before)?;
            (before, multiple) = (multiple, next);
        }
        if is_on_device(cosines) {
            // The angle is past the j-th turn where the cosine is not above that of j pi / m.
            let (mut turns, mut signs) = (cosines.zeros_like()?.detach(), cosines.ones_like()?.detach());
            for j in 1..m {
                let least = (f64::from(j) * std::f64::consts::PI / f64::from(m)).cos();
                let past = cosines.detach().le(least)?.to_dtype(cosines.dtype())?;
                turns = (turns + &past)?;
                signs = (signs * (past * -2.)?.affine(1., 1.)?)?;
            }
            return Ok(((multiple * signs)? - (turns * 2.)?)?);
        }
        let turn = |c: f64| {
            let k = (c.clamp(-1., 1.).acos() * f64::from(m) / std::f64::consts::PI).floor();
            k.min(f64::from(m - 1))
        };
        let turns: Vec<f64> = cosines.detach().to_vec1::<f64>()?.into_iter().map(turn).collect();
        let signs = turns.iter().map(|k| if k % 2. == 0. { 1. } else { -1. }).collect::<Vec<f64>>();
        let of = |v: Vec<f64>| Tensor::from_vec(v, cosines.shape(), cosines.device());
        Ok(((multiple * of(signs)?)? - (of(turns)? * 2.)?)?)
    }
}

impl Loss for SphereFace {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let places = self.weights.places(batch)?;
        let rows = to_f64(batch.embeddings())?;
        let unit = unit_rows(&rows)?;
        // The length as x . x / |x|: its slope at a zero row is 0 here, not NaN.
        let lengths = dots(&rows, &unit)?;
        let psi = self.psi(&self.weights.own_cosines(&unit, &places)?)?;
        let own = ((psi * lengths)? * self.scale)?;
        self.weights.cross_entropy(&(rows * self.scale)?, (&own, &places), batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "SphereFace"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("weights")
    }
}

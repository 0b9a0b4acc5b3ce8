use crate::angle::plus_angle;
use crate::device::to_f64;
use crate::n_pair::against_negatives::{against_negatives, listed_against_negatives, products};
use crate::row::Lengths;
use crate::rows::unit_rows;
use crate::setting::{above_zero, within};
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};

/// Tuplet margin loss: every ordered (anchor, positive) against all negatives of the anchor, with a slack angle that
/// spares positives which are near enough.
///
/// ```text
/// L = 1/|P|  sum_{(i, p) in P}  log(1 + sum_{n: y_n != y_i} exp(s (cos(theta_in) - cos(theta_ip - m))))
/// ```
/// P are the ordered pairs of one class, or those that a miner chose, against the negatives that it chose.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|; a row alone in its class is a negative only.
///
/// # Units
/// Nats. Embeddings are normalized here.
///
/// # Gradient
/// Finite everywhere: `cos(theta - m)` is taken as `c cos m + sqrt(1 - c^2) sin m` in f64, the root held from 1e-7.
///
/// # Numerics
/// The negatives' log-sum-exp is streamed: O((B + |P|) D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if P is empty or there is only one class.
///
/// # Source
/// Yu and Tao, ICCV 2019. Values as pytorch-metric-learning's `TupletMarginLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, TupletMargin};
/// # use npair_types::Labels;
/// // The positive is at 60 degrees, so at 30 after the slack; the negative at 90 from row 0, at 30 from row 1.
/// let x = Tensor::new(&[[1f64, 0.], [0.5, 0.75f64.sqrt()], [0., 1.]], &Device::Cpu)?;
/// let loss = TupletMargin::new(30., 2.)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
/// let term = |negative: f64| (2. * (negative - 0.75f64.sqrt())).exp().ln_1p();
/// assert!((loss.to_f64()? - (term(0.) + term(0.75f64.sqrt())) / 2.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TupletMargin {
    degrees: f64,
    scale: f64,
}

impl TupletMargin {
    /// With slack angle m in degrees, from 0 and below 90, and scale s > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(degrees: f64, scale: f64) -> Result<Self> {
        let legal = (0. ..90.).contains(&degrees);
        Ok(Self {
            degrees: within("the slack angle", degrees, legal, "from 0 and below 90 degrees")?,
            scale: above_zero("the scale", scale)?,
        })
    }
}

npair_types::settings! {
    /// Tuplet margin loss (Yu and Tao, 2019). The usual values are the paper's (0.1 radians) and pytorch-metric-learning's.
    pub struct TupletMarginSettings {
        /// Slack angle m in degrees, from 0 and below 90.
        degrees: f64 = 5.73,
        /// Scale s, above 0.
        scale: f64 = 64.0,
    }
}

impl Default for TupletMargin {
    /// With the usual [`TupletMarginSettings`].
    fn default() -> Self {
        let TupletMarginSettings { degrees, scale } = Default::default();
        Self { degrees, scale }
    }
}

impl LossSettings for TupletMarginSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(TupletMargin::new(self.degrees, self.scale)?))
    }
}

impl TupletMargin {
    /// `cos(theta - m)` of a cosine, and its slope.
    fn with_slack(&self, cosine: f64) -> (f64, f64) {
        let (m, square) = (self.degrees.to_radians(), 1. - cosine * cosine);
        let held = square <= crate::angle::LEAST;
        let sine = if held { crate::angle::LEAST.sqrt() } else { square.sqrt() };
        let turn = if held { 0. } else { cosine / sine * m.sin() };
        (cosine * m.cos() + sine * m.sin(), m.cos() - turn)
    }
}

impl Loss for TupletMargin {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return listed_against_negatives(batch, &list, Lengths::One, self.scale, |c| self.with_slack(c));
        }
        let dtype = batch.embeddings().dtype();
        let exact = batch.map(|rows| unit_rows(&to_f64(rows)?))?;
        let rows = exact.map(|unit| Ok((unit * self.scale.sqrt())?.to_dtype(dtype)?))?;
        against_negatives("tuplet margin loss", &rows, |anchors, positives| {
            let cosines = products(&exact, anchors, positives)?;
            Ok((plus_angle(&cosines, -self.degrees.to_radians())? * self.scale)?.to_dtype(dtype)?)
        })
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        "tuplet margin loss"
    }
}

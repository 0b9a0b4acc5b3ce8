use crate::angle::plus_angle;
use crate::gallery::loss_of_gallery;
use crate::positives::{against_negatives, products};
use crate::rows::unit_rows;
use crate::setting::{above_zero, within};
use crate::{Gallery, GalleryLoss, LossValue, Result};

/// Tuplet margin loss: every ordered (anchor, positive) against all negatives of the anchor, with a slack angle that
/// spares positives which are near enough.
///
/// ```text
/// L = 1/|P|  sum_{(i, p) in P}  log(1 + sum_{n: y_n != y_i} exp(s (cos(theta_in) - cos(theta_ip - m))))
/// ```
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|; a row alone in its class is a negative only.
///
/// # Units
/// Nats. Embeddings are normalised here.
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
/// # use npair_losses::{Loss, TupletMargin};
/// # use npair_types::Labels;
/// // The positive is at 60 degrees, so at 30 after the slack; the negative at 90 from row 0, at 30 from row 1.
/// let x = Tensor::new(&[[1f64, 0.], [0.5, 0.75f64.sqrt()], [0., 1.]], &Device::Cpu)?;
/// let loss = TupletMargin::new(30., 2.)?.forward(&x, &Labels::new([1, 1, 2])?)?;
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

impl Default for TupletMargin {
    /// m = 5.73 degrees (0.1 radians), s = 64: the paper's and pytorch-metric-learning's.
    fn default() -> Self {
        Self { degrees: 5.73, scale: 64. }
    }
}

impl GalleryLoss for TupletMargin {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let dtype = gallery.queries().dtype();
        let exact = gallery.map(|rows| unit_rows(&crate::away::wide(rows)?))?;
        let rows = exact.map(|unit| Ok((unit * self.scale.sqrt())?.to_dtype(dtype)?))?;
        against_negatives("tuplet margin loss", &rows, |anchors, positives| {
            let cosines = products(&exact, anchors, positives)?;
            Ok((plus_angle(&cosines, -self.degrees.to_radians())? * self.scale)?.to_dtype(dtype)?)
        })
    }
}

loss_of_gallery!(TupletMargin);

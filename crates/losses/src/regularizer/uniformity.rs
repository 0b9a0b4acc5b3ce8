use crate::device::to_f64;
use crate::rows::{accept, unit_rows};
use crate::setting::above_zero;
use crate::stable::log_sum_exp;
use crate::{Error, Regularizer, RegularizerSettings, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// Uniformity: rows spread over the sphere, as by a Gaussian potential between all of them.
///
/// ```text
/// R = log( 1/(B (B - 1))  sum_{i != j}  exp(-t |x_i - x_j|^2) )
/// ```
/// # Shapes
/// Rows x: (B, D), B >= 2; a scalar.
///
/// # Units
/// Nats: from -4 t to 0. Rows are normalized here.
///
/// # Numerics
/// In f64, the matrix is streamed: O(B D) memory.
///
/// # Errors
/// [`Error::TooFew`] for a single row.
///
/// # Source
/// Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere",
/// ICML 2020 (arXiv 2005.10242), section 4.1.2.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Regularizer, Uniformity};
/// let x = Tensor::new(&[[2f64, 0.], [0., 3.]], &Device::Cpu)?;
/// let r = Uniformity::new(1.5)?.penalty(&x)?.to_scalar::<f64>()?; // a squared distance of 2
/// assert!((r + 3.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Uniformity {
    t: f64,
}

impl Uniformity {
    /// With sharpness t > 0.
    ///
    /// # Errors
    /// [`Error::Setting`] if t is not a positive number.
    pub fn new(t: f64) -> Result<Self> {
        Ok(Self { t: above_zero("t", t)? })
    }
}

impl Default for Uniformity {
    /// With the usual [`UniformitySettings`].
    fn default() -> Self {
        let UniformitySettings { t } = Default::default();
        Self { t }
    }
}

npair_types::settings! {
    /// Spread, by all other rows (Wang and Isola, 2020). The usual value is the paper's.
    pub struct UniformitySettings {
        /// Sharpness t, above 0.
        t: f64 = 2.0,
    }
}

impl RegularizerSettings for UniformitySettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(Uniformity::new(self.t)?))
    }
}

impl Regularizer for Uniformity {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = &accept("rows", rows)?;
        let b = rows.dim(0)?;
        if b < 2 {
            return Err(Error::too_few(self.name(), "rows", 2, b));
        }
        // -t |x - y|^2 = 2 t x.y - t |x|^2 - t |y|^2; a zero row has no length to be scaled to 1.
        let unit = unit_rows(&to_f64(rows)?)?;
        let spread = (&unit * self.t.sqrt())?;
        let sums = Similarity::new(&spread, &spread, Measure::SquaredEuclidean)?.log_sum_exp(&Mask::OffDiagonal)?;
        let pairs = (b * (b - 1)) as f64;
        Ok((log_sum_exp(&sums)? - pairs.ln())?.to_dtype(rows.dtype())?)
    }

    fn name(&self) -> &str {
        "uniformity"
    }
}

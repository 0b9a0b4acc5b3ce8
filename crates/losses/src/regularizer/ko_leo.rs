use super::nearest::with_nearest;
use crate::rows::squared_distances;
use crate::{Regularizer, RegularizerSettings, Result};
use candle_core::Tensor;

/// KoLeo, the Kozachenko-Leonenko estimate of the differential entropy: rows spread over the sphere, each away from its nearest
/// other.
///
/// ```text
/// R = -1/B  sum_i  log min_{j != i} |x_i - x_j|
/// ```
/// # Shapes
/// Rows x: (B, D), B >= 2; a scalar.
///
/// # Units
/// Nats, up to a constant. Rows are normalized here.
///
/// # Gradient
/// To a row and its nearest; 0 between equal rows, which have no direction.
///
/// # Numerics
/// In f64, the matrix is streamed: O(B D) memory. A distance d counts as `sqrt(d^2 + 1e-16)`.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) for a single row.
///
/// # Source
/// Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019 (arXiv 1806.03198), section 3.2.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{KoLeo, Regularizer};
/// let x = Tensor::new(&[[2f64, 0.], [0., 3.], [-1., 0.]], &Device::Cpu)?;
/// // Each has another at the distance sqrt 2.
/// assert!((KoLeo.penalty(&x)?.to_scalar::<f64>()? + 2f64.ln() / 2.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct KoLeo;

/// Square of the distance below which rows count as equal.
const LEAST: f64 = 1e-16;

npair_types::settings! {
    /// Spread, by the nearest other row (Sablayrolles et al., 2019).
    pub struct KoLeoSettings {}
}

impl RegularizerSettings for KoLeoSettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(KoLeo))
    }
}

impl Regularizer for KoLeo {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let ([unit, nearest], dtype) = with_nearest("KoLeo", rows)?;
        let squares = (squared_distances(&unit, &nearest)? + LEAST)?;
        Ok((squares.log()?.mean_all()? * -0.5)?.to_dtype(dtype)?)
    }

    fn name(&self) -> &str {
        "KoLeo"
    }
}

use crate::device::to_f64;
use crate::rows::{accept, distances, pick, squared_distances, unit_rows};
use crate::setting::at_least;
use crate::{Error, Regularizer, RegularizerSettings, Result};
use candle_core::Tensor;

/// SoftTriple's penalty of centers: those of one class are drawn together until only as many places are left as the class
/// needs.
///
/// ```text
/// R = 1/(C K (K - 1))  sum_c  sum_{k < l}  |w_ck - w_cl|
/// ```
/// # Shapes
/// Rows w: (C K, D), the K centers of a class one after the other; a scalar.
///
/// # Units
/// Half a distance. Rows are normalized here.
///
/// # Gradient
/// 0 between equal rows, which have no direction.
///
/// # Numerics
/// In f64, from differences: no cancellation. O(C K^2 D) memory.
///
/// # Errors
/// [`Error::Shape`] if the rows are not a multiple of K.
///
/// # Source
/// Qian et al., "SoftTriple Loss", ICCV 2019 (arXiv 1909.05235), equation 9; values as pytorch-metric-learning's
/// `SparseCentersRegularizer` up to its 1e-7 under the root.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Regularizer, SparseCenters};
/// let w = Tensor::new(&[[2f64, 0.], [-3., 0.], [0., 1.], [0., 2.]], &Device::Cpu)?;
/// // Two centers 2 apart, two in one place: (2 + 0) / (2 * 2).
/// assert_eq!(SparseCenters::new(2)?.penalty(&w)?.to_scalar::<f64>()?, 0.5);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SparseCenters {
    centers: usize,
}

impl SparseCenters {
    /// For K >= 2 centers of every class.
    ///
    /// # Errors
    /// [`Error::Setting`] for fewer than two.
    pub fn new(centers: usize) -> Result<Self> {
        Ok(Self { centers: at_least("the number of centers", centers, 2, "a whole number from 2")? })
    }
}

npair_types::settings! {
    /// The centers of a class together (Qian et al., 2019).
    pub struct SparseCentersSettings {
        /// Centers K of every class, at least 2: as many as the loss has.
        #[serde(alias = "centres")]
        centers: usize = 0,
    }
}

impl RegularizerSettings for SparseCentersSettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(SparseCenters::new(self.centers)?))
    }
}

impl Regularizer for SparseCenters {
    fn penalty(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = &accept("rows", rows)?;
        let ((count, d), k) = (rows.dims2()?, self.centers);
        if count % k != 0 {
            let want = format!("(C * {k}, {d}), {k} centers of every class");
            return Err(Error::Shape { what: "rows", got: vec![count, d], want });
        }
        let unit = unit_rows(&to_f64(rows)?)?;
        let of_class = |c: usize| (0..k).flat_map(move |a| (a + 1..k).map(move |b| (c * k + a, c * k + b)));
        let (left, right): (Vec<_>, Vec<_>) = (0..count / k).flat_map(of_class).unzip();
        let squares = squared_distances(&pick(&unit, &left)?, &pick(&unit, &right)?)?;
        Ok((distances(&squares)?.mean_all()? * 0.5)?.to_dtype(rows.dtype())?)
    }

    fn name(&self) -> &str {
        "sparse centers"
    }
}

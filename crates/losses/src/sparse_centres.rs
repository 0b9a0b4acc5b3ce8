use crate::rows::{expect_matrix, pick, squared_distances, unit_rows};
use crate::{Error, Regulariser, Result};
use candle_core::Tensor;

/// SoftTriple's penalty of centres: those of one class are drawn together until only as many places are left as the class
/// needs.
///
/// ```text
/// R = 1/(C K (K - 1))  sum_c  sum_{k < l}  |w_ck - w_cl|
/// ```
/// # Shapes
/// Rows w: (C K, D), the K centres of a class one after the other; a scalar.
///
/// # Units
/// Half a distance. Rows are normalised here.
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
/// # use npair_losses::{Regulariser, SparseCentres};
/// let w = Tensor::new(&[[2f64, 0.], [-3., 0.], [0., 1.], [0., 2.]], &Device::Cpu)?;
/// // Two centres 2 apart, two in one place: (2 + 0) / (2 * 2).
/// assert_eq!(SparseCentres::new(2)?.of(&w)?.to_scalar::<f64>()?, 0.5);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SparseCentres {
    centres: usize,
}

impl SparseCentres {
    /// For K >= 2 centres of every class.
    ///
    /// # Errors
    /// [`Error::Setting`] for fewer than two.
    pub fn new(centres: usize) -> Result<Self> {
        if centres < 2 {
            let (what, range) = ("the number of centres", "a whole number from 2");
            return Err(Error::Setting { what, got: centres as f64, range });
        }
        Ok(Self { centres })
    }
}

impl Regulariser for SparseCentres {
    fn of(&self, rows: &Tensor) -> Result<Tensor> {
        let ((count, d), k) = (expect_matrix("rows", rows)?, self.centres);
        if count % k != 0 {
            let want = format!("(C * {k}, {d}), {k} centres of every class");
            return Err(Error::Shape { what: "rows", got: vec![count, d], want });
        }
        let unit = unit_rows(&crate::away::wide(rows)?)?;
        let of_class = |c: usize| (0..k).flat_map(move |a| (a + 1..k).map(move |b| (c * k + a, c * k + b)));
        let (left, right): (Vec<_>, Vec<_>) = (0..count / k).flat_map(of_class).unzip();
        let squares = squared_distances(&pick(&unit, &left)?, &pick(&unit, &right)?)?;
        // The root's slope at 0 is infinite: such a pair takes a constant in its place.
        let apart = squares.gt(0f64)?;
        let safe = apart.where_cond(&squares, &squares.ones_like()?)?;
        let distances = apart.where_cond(&safe.sqrt()?, &squares.zeros_like()?)?;
        Ok((distances.mean_all()? * 0.5)?.to_dtype(rows.dtype())?)
    }
}

use crate::{Element, Rows};
use rayon::prelude::*;

/// Rows of one task: enough work to be worth handing over.
const BLOCK: usize = 64;

/// The rows of a batch at length 1, and the way back from a gradient by them to one by the rows as they came.
///
/// ```text
/// u = x / |x|,    dL/dx = (dL/du - u (u . dL/du)) / |x|
/// ```
/// # Gradient
/// A zero row stays zero and passes its gradient on unscaled, where the true one would be infinite.
///
/// # Numerics
/// Lengths are taken in f64, of rows scaled by their largest entry: squares neither overflow nor vanish.
///
/// # Examples
/// ```
/// # use npair_similarity::{Rows, UnitRows};
/// let unit = UnitRows::new(Rows::new(&[3f64, 4., 0., 0.], 2)?);
/// assert_eq!(unit.rows().row(0), [0.6, 0.8]);
/// let mut grad = [1., 0., 1., 0.];
/// unit.back(&mut grad);
/// assert!((grad[0] - 0.64 / 5.).abs() < 1e-15); // (1 - 0.6 * 0.6) / 5
/// assert_eq!(grad[2], 1.);
/// # Ok::<(), npair_similarity::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct UnitRows<T> {
    unit: Vec<T>,
    /// 1 / length; 1 of a zero row.
    inverse: Vec<f64>,
    width: usize,
}

impl<T: Element> UnitRows<T> {
    /// Of rows of any length.
    pub fn new(rows: Rows<T>) -> Self {
        let width = rows.width();
        let mut unit = vec![T::ZERO; rows.as_slice().len()];
        let mut inverse = vec![1.; rows.len()];
        let blocks = unit.par_chunks_mut(BLOCK * width).zip(inverse.par_chunks_mut(BLOCK));
        blocks.enumerate().for_each(|(block, (unit, inverse))| {
            for (i, (unit, inverse)) in unit.chunks_exact_mut(width).zip(inverse).enumerate() {
                *inverse = to_unit(rows.row(block * BLOCK + i), unit);
            }
        });
        Self { unit, inverse, width }
    }

    /// The rows at length 1.
    pub fn rows(&self) -> Rows<'_, T> {
        Rows::trusted(&self.unit, self.width)
    }

    /// A gradient by the rows at length 1 (as many entries) becomes one by the rows as they came.
    pub fn back(&self, grad: &mut [T]) {
        let blocks = grad.par_chunks_mut(BLOCK * self.width).enumerate();
        blocks.for_each(|(block, grad)| {
            for (i, grad) in grad.chunks_exact_mut(self.width).enumerate() {
                self.back_row(block * BLOCK + i, grad);
            }
        });
    }

    /// The same of one row.
    pub(crate) fn back_row(&self, row: usize, grad: &mut [T]) {
        let unit = self.rows().row(row);
        let along: f64 = unit.iter().zip(&*grad).map(|(u, g)| u.wide() * g.wide()).sum();
        let inverse = self.inverse[row];
        grad.iter_mut().zip(unit).for_each(|(g, u)| *g = T::narrow((g.wide() - along * u.wide()) * inverse));
    }
}

/// Sides at length 1, whose inner products are cosines; one copy of a set that meets itself.
pub(crate) struct UnitSides<T> {
    queries: UnitRows<T>,
    gallery: Option<UnitRows<T>>,
}

impl<T: Element> UnitSides<T> {
    pub(crate) fn of(queries: Rows<T>, gallery: Rows<T>) -> Self {
        let itself = std::ptr::eq(queries.as_slice(), gallery.as_slice());
        Self { queries: UnitRows::new(queries), gallery: (!itself).then(|| UnitRows::new(gallery)) }
    }

    pub(crate) fn queries(&self) -> Rows<'_, T> {
        self.queries.rows()
    }

    pub(crate) fn gallery(&self) -> Rows<'_, T> {
        self.gallery.as_ref().unwrap_or(&self.queries).rows()
    }
}

/// Writes the row at length 1; returns 1 / length.
fn to_unit<T: Element>(row: &[T], unit: &mut [T]) -> f64 {
    let largest = row.iter().fold(0f64, |most, v| most.max(v.wide().abs()));
    if largest == 0. {
        return 1.;
    }
    let squares: f64 = row.iter().map(|v| (v.wide() / largest).powi(2)).sum();
    let length = squares.sqrt();
    unit.iter_mut().zip(row).for_each(|(u, v)| *u = T::narrow(v.wide() / largest / length));
    1. / (largest * length)
}

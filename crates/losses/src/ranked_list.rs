use crate::gallery::loss_of_gallery;
use crate::gallery_matrix::GalleryMatrix;
use crate::pair_matrix::Entry;
use crate::setting::{from_zero, within};
use crate::{Gallery, GalleryLoss, LossValue, Result};

/// Ranked list loss: positives are pulled inside a sphere around every row, negatives pushed out of a larger one, near
/// negatives the most.
///
/// ```text
/// L = 1/B  sum_i  (1 - l) 1/|P*_i| sum_{p in P*_i} (d_ip - (a - m))  +  l sum_{n in N*_i} w_in / W_i (a - d_in)
/// P*_i = { p of i's class: d_ip > a - m },   N*_i = { n of others: d_in < a }
/// w_in = exp(T (a - d_in)),  W_i = sum over N*_i of w_in,  both without gradient
/// ```
/// d is the distance of rows of length 1. A mean over an empty set is 0.
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. `active` counts the rows with a P* or N*.
///
/// # Units
/// Distance. Embeddings are normalised here.
///
/// # Gradient
/// With the weights w as constants, as in the paper: not the derivative of the value, unless T = 0. 0 between equal rows,
/// which have no direction.
///
/// # Numerics
/// In f64, O(B^2) time and memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) for a single row.
///
/// # Source
/// Wang et al., CVPR 2019 (arXiv 1903.03238).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, RankedList};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let loss = RankedList::new(1.5, 0.5, 0., 0.5)?.forward(&x, &Labels::new([1, 1, 2])?)?;
/// // Positives within 1, negatives beyond 1.5; rows 0 and 1 are at sqrt 2, 1 and 2 too, 0 and 2 at 2.
/// let (positive, negative) = (2f64.sqrt() - 1., 1.5 - 2f64.sqrt());
/// assert!((loss.to_f64()? - (2. * positive + 2. * negative) / 6.).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (3, 3));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RankedList {
    boundary: f64,
    margin: f64,
    temperature: f64,
    balance: f64,
}

impl RankedList {
    /// With negatives beyond the `boundary` a, positives nearer by the `margin` m, negatives weighed with the
    /// `temperature` T >= 0 (0: all the same) and the `balance` l of negatives from 0 to 1; 0 <= m <= a <= 2.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(boundary: f64, margin: f64, temperature: f64, balance: f64) -> Result<Self> {
        let legal = [(0. ..=2.).contains(&boundary), (0. ..=boundary).contains(&margin), (0. ..=1.).contains(&balance)];
        Ok(Self {
            boundary: within("the boundary of negatives", boundary, legal[0], "from 0 to 2, the largest distance")?,
            margin: within("the margin", margin, legal[1], "from 0 to the boundary of negatives")?,
            temperature: from_zero("the temperature", temperature)?,
            balance: within("the balance", balance, legal[2], "from 0 to 1")?,
        })
    }
}

impl Default for RankedList {
    /// a = 1.2, m = 0.4, T = 10, l = 0.5: the paper's.
    fn default() -> Self {
        Self { boundary: 1.2, margin: 0.4, temperature: 10., balance: 0.5 }
    }
}

impl GalleryLoss for RankedList {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.expect_two("ranked list loss")?;
        let b = gallery.of_queries().len();
        let matrix = GalleryMatrix::new(gallery, Entry::Distance)?;
        let (near, far) = (self.boundary - self.margin, self.boundary);
        let mut slopes = matrix.slopes();
        let (mut sum, mut active) = (0., 0);
        for i in 0..b {
            let (distances, slope) = (matrix.row(i), slopes.row(i));
            let positives = gallery.positives(i).filter(|&p| distances[p] > near);
            let negatives = gallery.negatives(i).filter(|&n| distances[n] < far);
            // Weights below the largest, which is that of the nearest.
            let nearest = negatives.clone().map(|n| distances[n]).fold(f64::INFINITY, f64::min);
            let weight = |n: usize| (self.temperature * (nearest - distances[n])).exp();
            let (count, total) = (positives.clone().count() as f64, negatives.clone().map(weight).sum::<f64>());
            active += usize::from(count > 0. || total > 0.);
            for p in positives {
                let share = (1. - self.balance) / count;
                sum += share * (distances[p] - near);
                slope[p] += share;
            }
            for n in negatives {
                let share = self.balance * weight(n) / total;
                sum += share * (far - distances[n]);
                slope[n] -= share;
            }
        }
        let factor = 1. / b as f64;
        Ok(LossValue { value: matrix.attach(sum * factor, factor, slopes)?, terms: b, active })
    }
}

loss_of_gallery!(RankedList);

use crate::gallery::gallery_loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::positives::gaps;
use crate::{Error, Gallery, LossValue, Result};
use npair_similarity::Element;

/// FastAP: average precision of every row's ranking, smoothed by a histogram of its squared distances.
///
/// ```text
/// L = 1/B'  sum_i  1 - 1/|P_i|  sum_l  h+_l H+_l / H_l
/// h_l = sum_j max(0, 1 - |s_ij - 4 l / K| K / 4),  l = 0..K;   H_l = h_0 + ... + h_l;   + counts positives only
/// ```
/// s is the squared distance of rows of length 1, which is in [0, 4]; P_i the other rows of i's class.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are only
/// ranked.
///
/// # Units
/// 1 less a precision: 0 is a perfect ranking.
///
/// # Gradient
/// That of the histogram's straight pieces; at an edge between two, of the farther one. Finite everywhere.
///
/// # Numerics
/// In the embeddings' type, histograms in f64; O(B^2 + B K) time and O(B^2) memory: an entry lies in two bins only.
///
/// # Errors
/// [`Error::TooFew`] if no row has a positive or there is only one class (any ranking would be perfect).
///
/// # Source
/// Cakir et al., CVPR 2019. Values as pytorch-metric-learning's `FastAPLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{FastAp, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [-1., 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = FastAp::new(2)?.forward(&x, &Labels::new([1, 1, 2])?)?;
/// // Bins at 0, 2, 4. Rows 0 and 1: the negative in bin 1, the positive in bin 2: precision 1/2.
/// assert!((loss.to_f64()? - 0.5).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FastAp {
    bins: usize,
}

impl FastAp {
    /// With K >= 1 bins.
    ///
    /// # Errors
    /// [`Error::Setting`] for no bins.
    pub fn new(bins: usize) -> Result<Self> {
        if bins == 0 {
            return Err(Error::Setting { what: "the number of bins", got: 0., range: "a whole number above 0" });
        }
        Ok(Self { bins })
    }
}

impl Default for FastAp {
    /// K = 10: the paper's and pytorch-metric-learning's.
    fn default() -> Self {
        Self { bins: 10 }
    }
}

impl FastAp {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("FastAP")?.len();
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::SquaredDistance)?;
        let (slopes, terms) = matrix.turn(|i, squares, slope| self.row(classes.of(i), i, squares, slope));
        let factor = 1. / with as f64;
        let value = terms.iter().sum::<f64>() * factor;
        Ok(LossValue::smooth(slopes.attach(gallery.queries(), value, factor)?, with))
    }

    /// The bin of a squared distance, and the share of the next.
    fn place(&self, squared: f64) -> (usize, f64) {
        let at = squared * self.bins as f64 / 4.;
        let bin = (at as usize).min(self.bins - 1);
        (bin, at - bin as f64)
    }

    /// The term of row `i` of class `own`.
    fn row<T: Element>(&self, own: &[usize], i: usize, squares: &[T], slope: &mut [T]) -> f64 {
        if own.len() < 2 {
            return 0.;
        }
        let positives = || own.iter().copied().filter(|&p| p != i);
        let histogram = |of: &mut dyn Iterator<Item = usize>, sign: f64, bins: &mut [f64]| {
            for j in of {
                let (bin, share) = self.place(squares[j].wide());
                bins[bin] += sign * (1. - share);
                bins[bin + 1] += sign * share;
            }
        };
        let (mut near, mut far) = (vec![0.; self.bins + 1], vec![0.; self.bins + 1]);
        histogram(&mut positives(), 1., &mut near);
        histogram(&mut gaps(own, squares.len()).flatten(), 1., &mut far);
        let count = (own.len() - 1) as f64;
        let (precision, by_near, by_far) = average_precision(&near, &far);
        let steps = |by: &[f64]| -> Vec<T> {
            let by_bin = by.windows(2).map(|w| (w[0] - w[1]) * self.bins as f64 / (4. * count));
            by_bin.map(T::narrow).collect()
        };
        let (by_near, by_far) = (steps(&by_near), steps(&by_far));
        slope.iter_mut().zip(squares).for_each(|(s, v)| *s = by_far[self.place(v.wide()).0]);
        positives().for_each(|p| slope[p] = by_near[self.place(squares[p].wide()).0]);
        slope[i] = T::ZERO;
        1. - precision / count
    }
}

gallery_loss_of_element!(FastAp);

/// `sum_l h+_l H+_l / H_l` of histograms of positives and negatives, and its slopes by their bins.
fn average_precision(own: &[f64], other: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let (mut own_so_far, mut all_so_far, mut precision) = (0., 0., 0.);
    let mut pieces = Vec::with_capacity(own.len());
    for (h, n) in own.iter().zip(other) {
        own_so_far += h;
        all_so_far += h + n;
        // An empty start of the ranking has no part.
        let inverse = if all_so_far > 0. { 1. / all_so_far } else { 0. };
        precision += h * own_so_far * inverse;
        pieces.push((own_so_far * inverse, h * inverse, h * own_so_far * inverse * inverse));
    }
    let (mut by_own, mut by_other) = (vec![0.; own.len()], vec![0.; own.len()]);
    let (mut through_own, mut through_all) = (0., 0.);
    for (l, (direct, own_sum, all_sum)) in pieces.into_iter().enumerate().rev() {
        through_own += own_sum;
        through_all += all_sum;
        by_own[l] = direct + through_own - through_all;
        by_other[l] = -through_all;
    }
    (precision, by_own, by_other)
}

use crate::setting::at_least;
use crate::{Entry, Loss, LossContext, LossSettings, Result, Row, RowLoss, RowTerms};
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
/// [`Error::TooFew`](crate::Error::TooFew) if no row has a positive or there is only one class (any ranking would be perfect).
///
/// # Source
/// Cakir et al., CVPR 2019. Values as pytorch-metric-learning's `FastAPLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, FastAp, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [-1., 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = FastAp::new(2)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
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
    /// [`Error::Setting`](crate::Error::Setting) for no bins.
    pub fn new(bins: usize) -> Result<Self> {
        Ok(Self { bins: at_least("the number of bins", bins, 1, "a whole number above 0")? })
    }
}

npair_types::settings! {
    /// FastAP (Cakir et al., 2019). The usual value is the paper's and pytorch-metric-learning's.
    pub struct FastApSettings {
        /// Bins K of the histograms of squared distances, at least 1.
        bins: usize = 10,
    }
}

impl Default for FastAp {
    /// With the usual [`FastApSettings`].
    fn default() -> Self {
        let FastApSettings { bins } = Default::default();
        Self { bins }
    }
}

impl LossSettings for FastApSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(FastAp::new(self.bins)?))
    }
}

impl FastAp {
    /// The bin of a squared distance, and the share of the next.
    fn place(&self, squared: f64) -> (usize, f64) {
        let at = squared * self.bins as f64 / 4.;
        let bin = (at as usize).min(self.bins - 1);
        (bin, at - bin as f64)
    }
}

impl RowLoss for FastAp {
    const NAME: &'static str = "FastAP";
    const ENTRY: Entry = Entry::SquaredDistance;
    /// A rank counts all that is nearer.
    const LISTS: bool = false;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let squares = row.entries();
        let histogram = |of: &mut dyn Iterator<Item = usize>, sign: f64, bins: &mut [f64]| {
            for j in of {
                let (bin, share) = self.place(squares[j].wide());
                bins[bin] += sign * (1. - share);
                bins[bin + 1] += sign * share;
            }
        };
        let (mut near, mut far) = (vec![0.; self.bins + 1], vec![0.; self.bins + 1]);
        histogram(&mut row.positives(), 1., &mut near);
        histogram(&mut row.negatives(), 1., &mut far);
        let count = row.num_positives() as f64;
        let (precision, by_near, by_far) = average_precision(&near, &far);
        let steps = |by: &[f64]| -> Vec<T> {
            let by_bin = by.windows(2).map(|w| (w[0] - w[1]) * self.bins as f64 / (4. * count));
            by_bin.map(T::narrow).collect()
        };
        let (by_near, by_far) = (steps(&by_near), steps(&by_far));
        gradient.iter_mut().zip(squares).for_each(|(by, v)| *by = by_far[self.place(v.wide()).0]);
        row.positives().for_each(|p| gradient[p] = by_near[self.place(squares[p].wide()).0]);
        gradient[row.index()] = T::ZERO;
        RowTerms::one(1. - precision / count)
    }
}

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

use crate::loss::loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix, log_sum_exp};
use crate::setting::finite;
use crate::{Gallery, LossValue, Result};
use npair_similarity::{Element, row};

/// Lifted structure loss: every positive pair against the negatives of both its ends.
///
/// ```text
/// L = 1/(2 |P|)  sum_{(i, j) in P}  max(0, J_ij)^2
/// J_ij = log( sum_{n in N_i} exp(m- - d_in) + sum_{n in N_j} exp(m- - d_jn) ) + d_ij - m+
/// ```
/// P are the unordered pairs of one class, d the distance of rows of length 1, N the rows of other classes.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|, `active` counts the terms above 0.
///
/// # Units
/// Squared nats. Embeddings are normalised here (the paper's are not).
///
/// # Gradient
/// 0 between equal rows, which have no direction; finite everywhere.
///
/// # Numerics
/// In the embeddings' type, sums in f64; O(B^2) time and memory: a row's sum over negatives is taken once.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if P is empty or there is only one class.
///
/// # Source
/// Oh Song et al., CVPR 2016 (arXiv 1511.06452), equation 4. Values as pytorch-metric-learning's `LiftedStructureLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{LiftedStructure, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [-2., 0.]], &Device::Cpu)?;
/// let loss = LiftedStructure::new(3., 0.)?.forward(&x, &Labels::new([1, 1, 2])?)?;
/// // J = log(e^(3 - 2) + e^(3 - 2)) + 0 - 0
/// assert!((loss.to_f64()? - (1. + 2f64.ln()).powi(2) / 2.).abs() < 1e-7);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LiftedStructure {
    negative: f64,
    positive: f64,
}

impl LiftedStructure {
    /// With margins m- and m+.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a margin is not finite.
    pub fn new(negative: f64, positive: f64) -> Result<Self> {
        let negative = finite("the margin of negatives", negative)?;
        Ok(Self { negative, positive: finite("the margin of positives", positive)? })
    }
}

impl Default for LiftedStructure {
    /// m- = 1, m+ = 0: the paper's and pytorch-metric-learning's.
    fn default() -> Self {
        Self { negative: 1., positive: 0. }
    }
}

impl LiftedStructure {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("lifted structure loss")?;
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Distance)?;
        let lifts = matrix.map(|i, distances| self.lift(classes.of(i), &mut distances.to_vec()));
        // How much of the loss's slope falls on each row's sum over negatives.
        let mut on_lift = vec![0.; gallery.of_queries().len()];
        // What is above 0 of a pair, in the row of its first example.
        let above = |i: usize, j: usize, both: f64| both + matrix.row(i)[j].wide() - self.positive;
        let (mut sum, mut terms, mut active) = (0., 0, 0);
        for &i in &with {
            for &j in classes.of(i).iter().filter(|&&j| j > i) {
                terms += 1;
                let both = log_sum_exp([lifts[i], lifts[j]].into_iter());
                let above = above(i, j, both);
                if above > 0. {
                    active += 1;
                    sum += above.powi(2) / 2.;
                    on_lift[i] += above * (lifts[i] - both).exp();
                    on_lift[j] += above * (lifts[j] - both).exp();
                }
            }
        }
        let (slopes, _) = matrix.turn(|i, distances, slope| {
            slope.copy_from_slice(distances);
            let share = -on_lift[i] / self.weigh(classes.of(i), slope).1;
            slope.iter_mut().for_each(|s| *s *= T::narrow(share));
            for &j in classes.of(i).iter().filter(|&&j| j > i) {
                let both = log_sum_exp([lifts[i], lifts[j]].into_iter());
                slope[j] = T::narrow((both + distances[j].wide() - self.positive).max(0.));
            }
        });
        let factor = 1. / terms as f64;
        Ok(LossValue { value: slopes.attach(gallery.queries(), sum * factor, factor)?, terms, active })
    }

    /// `log sum exp(m- - d)` over the negatives of a row of class `own`; distances become weights.
    fn lift<T: Element>(&self, own: &[usize], distances: &mut [T]) -> f64 {
        let (nearest, sum) = self.weigh(own, distances);
        self.negative - nearest + sum.ln()
    }

    /// Distances of negatives become `exp(nearest - d)`, others 0; the nearest negative's and the sum.
    fn weigh<T: Element>(&self, own: &[usize], distances: &mut [T]) -> (f64, f64) {
        own.iter().for_each(|&p| distances[p] = T::INFINITY);
        let nearest = row::smallest(distances);
        (nearest.wide(), row::exps(distances, T::ZERO - T::ONE, nearest))
    }
}

loss_of_element!(LiftedStructure);

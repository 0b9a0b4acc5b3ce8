use crate::gallery::gallery_loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix, log_sum_exp};
use crate::setting::finite;
use crate::{Gallery, LossValue, Result};
use npair_similarity::{Element, row};

/// Generalised lifted structure loss: all positives of a row against all its negatives, both in soft maxima.
///
/// ```text
/// L = 1/B'  sum_i  max(0, log sum_{p in P_i} exp(d_ip - m+) + log sum_{n in N_i} exp(m- - d_in))
/// ```
/// d is the distance of rows of length 1, P_i the other rows of i's class, N_i those of other classes.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are negatives
/// only (pytorch-metric-learning counts them, as positives at distance m+).
///
/// # Units
/// Nats. Embeddings are normalised here.
///
/// # Gradient
/// 0 between equal rows, which have no direction; finite everywhere.
///
/// # Numerics
/// In the embeddings' type, sums in f64; O(B^2) time and memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if no row has a positive or there is only one class.
///
/// # Source
/// Hermans et al., 2017 (arXiv 1703.07737). Values as pytorch-metric-learning's
/// `GeneralizedLiftedStructureLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{GeneralisedLiftedStructure, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [-2., 0.], [-2., 0.]], &Device::Cpu)?;
/// let loss = GeneralisedLiftedStructure::new(3., 0.)?.forward(&x, &Labels::new([1, 1, 2, 3])?)?;
/// // Rows 0 and 1: a positive at 0, negatives at 2 and 2.
/// assert!((loss.to_f64()? - (1. + 2f64.ln())).abs() < 1e-7);
/// assert_eq!(loss.terms, 2);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GeneralisedLiftedStructure {
    negative: f64,
    positive: f64,
}

impl GeneralisedLiftedStructure {
    /// With margins m- and m+.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a margin is not finite.
    pub fn new(negative: f64, positive: f64) -> Result<Self> {
        let negative = finite("the margin of negatives", negative)?;
        Ok(Self { negative, positive: finite("the margin of positives", positive)? })
    }
}

impl Default for GeneralisedLiftedStructure {
    /// m- = 1, m+ = 0: pytorch-metric-learning's.
    fn default() -> Self {
        Self { negative: 1., positive: 0. }
    }
}

impl GeneralisedLiftedStructure {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("generalised lifted structure loss")?.len();
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Distance)?;
        let (slopes, rows) = matrix.turn(|i, distances, slope| self.row(classes.of(i), i, distances, slope));
        let factor = 1. / with as f64;
        let value = rows.iter().sum::<f64>() * factor;
        let active = rows.iter().filter(|&&term| term > 0.).count();
        Ok(LossValue { value: slopes.attach(gallery.queries(), value, factor)?, terms: with, active })
    }

    /// The term of row `i` of class `own`.
    fn row<T: Element>(&self, own: &[usize], i: usize, distances: &[T], slope: &mut [T]) -> f64 {
        let positives = || own.iter().copied().filter(|&p| p != i);
        let logit = |p: usize| distances[p].wide() - self.positive;
        let far = log_sum_exp(positives().map(logit));
        if far == f64::NEG_INFINITY {
            return 0.;
        }
        slope.copy_from_slice(distances);
        own.iter().for_each(|&p| slope[p] = T::INFINITY);
        let nearest = row::smallest(slope);
        let sum = row::exps(slope, T::ZERO - T::ONE, nearest);
        let term = far + self.negative - nearest.wide() + sum.ln();
        if term <= 0. {
            slope.fill(T::ZERO);
            return 0.;
        }
        let share = T::narrow(-1. / sum);
        slope.iter_mut().for_each(|s| *s *= share);
        positives().for_each(|p| slope[p] = T::narrow((logit(p) - far).exp()));
        term
    }
}

gallery_loss_of_element!(GeneralisedLiftedStructure);

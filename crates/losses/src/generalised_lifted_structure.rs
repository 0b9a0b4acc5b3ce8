use crate::gallery::loss_of_gallery;
use crate::gallery_matrix::GalleryMatrix;
use crate::pair_matrix::{Entry, log_sum_exp};
use crate::setting::finite;
use crate::{Gallery, GalleryLoss, LossValue, Result};

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
/// In f64, O(B^2) time and memory.
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

impl GalleryLoss for GeneralisedLiftedStructure {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("generalised lifted structure loss")?;
        let matrix = GalleryMatrix::new(gallery, Entry::Distance)?;
        let mut slopes = matrix.slopes();
        let (mut sum, mut active) = (0., 0);
        for &i in &with {
            let (distances, slope) = (matrix.row(i), slopes.row(i));
            let (positives, negatives) = (gallery.positives(i), gallery.negatives(i));
            let far = log_sum_exp(positives.clone().map(|p| distances[p] - self.positive));
            let near = log_sum_exp(negatives.clone().map(|n| self.negative - distances[n]));
            if far + near > 0. {
                active += 1;
                sum += far + near;
                positives.for_each(|p| slope[p] += (distances[p] - self.positive - far).exp());
                negatives.for_each(|n| slope[n] -= (self.negative - distances[n] - near).exp());
            }
        }
        let factor = 1. / with.len() as f64;
        Ok(LossValue { value: matrix.attach(sum * factor, factor, slopes)?, terms: with.len(), active })
    }
}

loss_of_gallery!(GeneralisedLiftedStructure);

use crate::gallery::loss_of_gallery;
use crate::gallery_matrix::GalleryMatrix;
use crate::pair_matrix::{Entry, sigmoid};
use crate::setting::above_zero;
use crate::{Gallery, GalleryLoss, LossValue, Result};

/// Smooth-AP: average precision of every row's ranking, with a sigmoid in place of the step that counts who is nearer.
///
/// ```text
/// L = 1 - 1/B'  sum_i  1/|P_i|  sum_{j in P_i}  R(j, P_i) / R(j, all)
/// R(j, S) = 1 + sum_{k in S, k != i, j} 1 / (1 + exp((c_ij - c_ik) / T))
/// ```
/// c the cosine, P_i the other rows of i's class; a row is not ranked for itself.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are only
/// ranked.
///
/// # Units
/// 1 less a precision: 0 is a perfect ranking.
///
/// # Gradient
/// Finite everywhere, and as narrow as T: pairs more than some 10 T apart have none. Embeddings are normalised here.
///
/// # Numerics
/// In f64; O(B P) time for P ordered pairs of one class, but O(B^2) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if no row has a positive or there is only one class (any ranking would be
/// perfect).
///
/// # Source
/// Brown et al., ECCV 2020 (arXiv 2007.12163).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, SmoothAp};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = SmoothAp::new(0.5)?.forward(&x, &Labels::new([1, 1, 2])?)?;
/// // Rows 0 and 1: the positive at cosine 1, the negative at 0: ranks 1 and 1 + 1 / (1 + e^2).
/// assert!((loss.to_f64()? - (1. - 1. / (1. + 1. / (1. + 2f64.exp())))).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SmoothAp {
    temperature: f64,
}

impl SmoothAp {
    /// With temperature T > 0 of the sigmoid.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the temperature is not a positive number.
    pub fn new(temperature: f64) -> Result<Self> {
        Ok(Self { temperature: above_zero("the temperature", temperature)? })
    }
}

impl Default for SmoothAp {
    /// T = 0.01, the paper's.
    fn default() -> Self {
        Self { temperature: 0.01 }
    }
}

impl GalleryLoss for SmoothAp {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("Smooth-AP")?;
        let matrix = GalleryMatrix::new(gallery, Entry::Cosine)?;
        let (t, labels) = (self.temperature, gallery.labels());
        let mut slopes = matrix.slopes();
        let mut sum = 0.;
        for &i in &with {
            let (cosines, slope) = (matrix.row(i), slopes.row(i));
            let positives: Vec<usize> = gallery.positives(i).collect();
            let share = 1. / positives.len() as f64;
            sum += 1.;
            for &j in &positives {
                let above = |k: usize| sigmoid((cosines[k] - cosines[j]) / t);
                let others = (0..labels.len()).filter(|&k| k != i && k != j);
                let (mut own, mut all) = (1., 1.);
                for k in others.clone() {
                    all += above(k);
                    own += if labels.same(i, k) { above(k) } else { 0. };
                }
                sum -= share * own / all;
                for k in others {
                    let step = above(k) * (1. - above(k)) / t;
                    let by_rank = if labels.same(i, k) { 1. / all } else { 0. } - own / (all * all);
                    slope[k] -= share * by_rank * step;
                    slope[j] += share * by_rank * step;
                }
            }
        }
        let factor = 1. / with.len() as f64;
        Ok(LossValue::smooth(matrix.attach(sum * factor, factor, slopes)?, with.len()))
    }
}

loss_of_gallery!(SmoothAp);

use crate::gallery::loss_of_gallery;
use crate::gallery_matrix::GalleryMatrix;
use crate::pair_matrix::{Entry, log_sum_exp, sigmoid};
use crate::setting::{above_zero, within};
use crate::{Gallery, GalleryLoss, LossValue, Result};

/// Circle loss: every cosine is weighed by how far it is from its optimum, so that the decision boundary is a circle.
///
/// ```text
/// L = 1/B'  sum_i  log(1 + sum_{n in N_i} exp(g a_n (c_in - m)) * sum_{p in P_i} exp(-g a_p (c_ip - 1 + m)))
/// a_p = max(0, 1 + m - c_ip),  a_n = max(0, c_in + m),  both without gradient
/// ```
/// c the cosine, P_i the other rows of i's class, N_i those of other classes.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are negatives
/// only.
///
/// # Units
/// Nats. Embeddings are normalised here.
///
/// # Gradient
/// With the weights a as constants, as in the paper: not the derivative of the value. Finite everywhere.
///
/// # Numerics
/// In f64, O(B^2) time and memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if no row has a positive or there is only one class.
///
/// # Source
/// Sun et al., CVPR 2020 (arXiv 2002.10857). Values as pytorch-metric-learning's `CircleLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Circle, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = Circle::new(0.5, 2.)?.forward(&x, &Labels::new([1, 1, 2])?)?;
/// // Rows 0 and 1: a_p = a_n = 0.5; the negative 2 * 0.5 * (0 - 0.5), the positive -2 * 0.5 * (1 - 0.5).
/// assert!((loss.to_f64()? - (-1f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Circle {
    margin: f64,
    gamma: f64,
}

impl Circle {
    /// With margin m from 0 to 1 and scale g > 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(margin: f64, gamma: f64) -> Result<Self> {
        let legal = (0. ..=1.).contains(&margin);
        Ok(Self { margin: within("the margin", margin, legal, "from 0 to 1")?, gamma: above_zero("gamma", gamma)? })
    }
}

impl Default for Circle {
    /// m = 0.4, g = 80: the paper's for fine-grained retrieval and pytorch-metric-learning's.
    fn default() -> Self {
        Self { margin: 0.4, gamma: 80. }
    }
}

impl GalleryLoss for Circle {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("circle loss")?;
        let matrix = GalleryMatrix::new(gallery, Entry::Cosine)?;
        let Self { margin: m, gamma } = *self;
        let mut slopes = matrix.slopes();
        let mut sum = 0.;
        for &i in &with {
            let (cosines, slope) = (matrix.row(i), slopes.row(i));
            let (positives, negatives) = (gallery.positives(i), gallery.negatives(i));
            let weight_p = |p: usize| -gamma * (1. + m - cosines[p]).max(0.);
            let weight_n = |n: usize| gamma * (cosines[n] + m).max(0.);
            let logit_p = |p: usize| weight_p(p) * (cosines[p] - 1. + m);
            let logit_n = |n: usize| weight_n(n) * (cosines[n] - m);
            let [own, other] =
                [log_sum_exp(positives.clone().map(logit_p)), log_sum_exp(negatives.clone().map(logit_n))];
            let z = own + other;
            sum += z.max(0.) + (-z.abs()).exp().ln_1p();
            let up = sigmoid(z);
            positives.for_each(|p| slope[p] += up * weight_p(p) * (logit_p(p) - own).exp());
            negatives.for_each(|n| slope[n] += up * weight_n(n) * (logit_n(n) - other).exp());
        }
        let factor = 1. / with.len() as f64;
        Ok(LossValue::smooth(matrix.attach(sum * factor, factor, slopes)?, with.len()))
    }
}

loss_of_gallery!(Circle);

use crate::gallery::gallery_loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix, log_sum_exp, sigmoid};
use crate::setting::{above_zero, within};
use crate::{Gallery, LossValue, Result};
use npair_similarity::{Element, row};

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
/// In the embeddings' type, sums in f64; O(B^2) time and memory.
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

impl Circle {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        let with = gallery.with_both("circle loss")?.len();
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Cosine)?;
        let (slopes, terms) = matrix.turn(|i, cosines, slope| self.row(classes.of(i), i, cosines, slope));
        let factor = 1. / with as f64;
        let value = terms.iter().sum::<f64>() * factor;
        Ok(LossValue::smooth(slopes.attach(gallery.queries(), value, factor)?, with))
    }

    /// The term of row `i` of class `own`.
    fn row<T: Element>(&self, own: &[usize], i: usize, cosines: &[T], slope: &mut [T]) -> f64 {
        let Self { margin: m, gamma } = *self;
        if own.len() < 2 {
            return 0.;
        }
        let weight_p = |p: usize| -gamma * (1. + m - cosines[p].wide()).max(0.);
        let logit_p = |p: usize| weight_p(p) * (cosines[p].wide() - 1. + m);
        let positives = || own.iter().copied().filter(|&p| p != i);
        let near = log_sum_exp(positives().map(logit_p));
        let (scale, margin) = (T::narrow(gamma), T::narrow(m));
        let weight_n = |c: T| if c + margin > T::ZERO { scale * (c + margin) } else { T::ZERO };
        slope.iter_mut().zip(cosines).for_each(|(z, &c)| *z = weight_n(c) * (c - margin));
        own.iter().for_each(|&p| slope[p] = T::NEG_INFINITY);
        let most = row::largest(slope);
        let sum = row::exps(slope, T::ONE, most);
        let z = near + most.wide() + sum.ln();
        let up = sigmoid(z);
        let share = T::narrow(up / sum);
        slope.iter_mut().zip(cosines).for_each(|(s, &c)| *s *= weight_n(c) * share);
        positives().for_each(|p| slope[p] = T::narrow(up * weight_p(p) * (logit_p(p) - near).exp()));
        z.max(0.) + (-z.abs()).exp().ln_1p()
    }
}

gallery_loss_of_element!(Circle);

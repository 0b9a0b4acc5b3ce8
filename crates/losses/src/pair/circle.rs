use crate::row::{log_sum_exp, sigmoid, softplus};
use crate::setting::{above_zero, within};
use crate::{Entry, Loss, LossContext, LossSettings, Result, Row, RowLoss, RowTerms};
use npair_similarity::{Element, row};

/// Circle loss: every cosine is weighed by how far it is from its optimum, so that the decision boundary is a circle.
///
/// ```text
/// L = 1/B'  sum_i  log(1 + sum_{n in N_i} exp(g a_n (c_in - m)) * sum_{p in P_i} exp(-g a_p (c_ip - 1 + m)))
/// a_p = max(0, 1 + m - c_ip),  a_n = max(0, c_in + m),  both without gradient
/// ```
/// c the cosine, P_i the other rows of i's class, N_i those of other classes; or what a miner chose.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. B' and `terms` count the rows with a positive; the others are negatives
/// only.
///
/// # Units
/// Nats. Embeddings are normalized here.
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
/// # use npair_losses::{Batch, Circle, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = Circle::new(0.5, 2.)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
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

npair_types::settings! {
    /// Circle loss (Sun et al., 2020). The usual values are the paper's for fine-grained retrieval and
    /// pytorch-metric-learning's.
    pub struct CircleSettings {
        /// Relaxation m, from 0 to 1.
        margin: f64 = 0.4,
        /// Scale g of logits, above 0.
        gamma: f64 = 80.0,
    }
}

impl Default for Circle {
    /// With the usual [`CircleSettings`].
    fn default() -> Self {
        let CircleSettings { margin, gamma } = CircleSettings::default();
        Self { margin, gamma }
    }
}

impl LossSettings for CircleSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Circle::new(self.margin, self.gamma)?))
    }
}

impl RowLoss for Circle {
    const NAME: &'static str = "circle loss";
    const ENTRY: Entry = Entry::Cosine;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let Self { margin: m, gamma } = *self;
        let cosines = row.entries();
        let weight_p = |p: usize| -gamma * (1. + m - cosines[p].wide()).max(0.);
        let logit_p = |p: usize| weight_p(p) * (cosines[p].wide() - 1. + m);
        let near = log_sum_exp(row.positives().map(logit_p));
        let (scale, margin) = (T::narrow(gamma), T::narrow(m));
        let weight_n = |c: T| if c + margin > T::ZERO { scale * (c + margin) } else { T::ZERO };
        gradient.iter_mut().zip(cosines).for_each(|(z, &c)| *z = weight_n(c) * (c - margin));
        row.keep_negatives(gradient, T::NEG_INFINITY);
        let most = row::largest(gradient);
        let sum = row::exps(gradient, T::ONE, most);
        let z = near + most.wide() + sum.ln();
        let up = sigmoid(z);
        let share = T::narrow(up / sum);
        gradient.iter_mut().zip(cosines).for_each(|(by, &c)| *by *= weight_n(c) * share);
        row.positives().for_each(|p| gradient[p] = T::narrow(up * weight_p(p) * (logit_p(p) - near).exp()));
        RowTerms::one(softplus(z))
    }
}

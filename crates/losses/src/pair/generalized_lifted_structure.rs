use crate::row::log_sum_exp;
use crate::setting::finite;
use crate::{Entry, Loss, LossContext, LossSettings, Result, Row, RowLoss, RowTerms};
use npair_similarity::{Element, row};

/// Generalized lifted structure loss: all positives of a row against all its negatives, both in soft maxima.
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
/// Nats. Embeddings are normalized here.
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
/// # use npair_losses::{Batch, GeneralizedLiftedStructure, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [-2., 0.], [-2., 0.]], &Device::Cpu)?;
/// let loss = GeneralizedLiftedStructure::new(3., 0.)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2, 3])?)?)?;
/// // Rows 0 and 1: a positive at 0, negatives at 2 and 2.
/// assert!((loss.to_f64()? - (1. + 2f64.ln())).abs() < 1e-7);
/// assert_eq!(loss.terms, 2);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GeneralizedLiftedStructure {
    negative: f64,
    positive: f64,
}

impl GeneralizedLiftedStructure {
    /// With margins m- and m+.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a margin is not finite.
    pub fn new(negative: f64, positive: f64) -> Result<Self> {
        let negative = finite("the margin of negatives", negative)?;
        Ok(Self { negative, positive: finite("the margin of positives", positive)? })
    }
}

npair_types::settings! {
    /// Lifted structure over whole rows (Hermans et al., 2017). The usual values are pytorch-metric-learning's.
    pub struct GeneralizedLiftedStructureSettings {
        /// Margin m- of negatives.
        negative: f64 = 1.0,
        /// Margin m+ of positives.
        positive: f64 = 0.0,
    }
}

impl Default for GeneralizedLiftedStructure {
    /// With the usual [`GeneralizedLiftedStructureSettings`].
    fn default() -> Self {
        let GeneralizedLiftedStructureSettings { negative, positive } = Default::default();
        Self { negative, positive }
    }
}

impl LossSettings for GeneralizedLiftedStructureSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(GeneralizedLiftedStructure::new(self.negative, self.positive)?))
    }
}

impl RowLoss for GeneralizedLiftedStructure {
    const NAME: &'static str = "generalized lifted structure loss";
    const ENTRY: Entry = Entry::Distance;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let distances = row.entries();
        let logit = |p: usize| distances[p].wide() - self.positive;
        let far = log_sum_exp(row.positives().map(logit));
        gradient.copy_from_slice(distances);
        row.keep_negatives(gradient, T::INFINITY);
        let nearest = row::smallest(gradient);
        let sum = row::exps(gradient, T::ZERO - T::ONE, nearest);
        let term = far + self.negative - nearest.wide() + sum.ln();
        if term <= 0. {
            gradient.fill(T::ZERO);
            return RowTerms::hinged(0.);
        }
        let share = T::narrow(-1. / sum);
        gradient.iter_mut().for_each(|by| *by *= share);
        row.positives().for_each(|p| gradient[p] = T::narrow((logit(p) - far).exp()));
        RowTerms::hinged(term)
    }
}

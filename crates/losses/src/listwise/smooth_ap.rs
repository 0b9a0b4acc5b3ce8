use crate::setting::above_zero;
use crate::{Entry, Loss, LossContext, LossSettings, Result, Row, RowLoss, RowTerms};
use npair_similarity::{Element, row};

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
/// Finite everywhere, and as narrow as T: pairs more than some 10 T apart have none. Embeddings are normalized here.
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
/// # use npair_losses::{Batch, Loss, SmoothAp};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = SmoothAp::new(0.5)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
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

npair_types::settings! {
    /// Smooth-AP (Brown et al., 2020). The usual value is the paper's.
    pub struct SmoothApSettings {
        /// Temperature T of the sigmoid, above 0.
        temperature: f64 = 0.01,
    }
}

impl Default for SmoothAp {
    /// With the usual [`SmoothApSettings`].
    fn default() -> Self {
        let SmoothApSettings { temperature } = Default::default();
        Self { temperature }
    }
}

impl LossSettings for SmoothApSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(SmoothAp::new(self.temperature)?))
    }
}

impl RowLoss for SmoothAp {
    const NAME: &'static str = "Smooth-AP";
    const ENTRY: Entry = Entry::Cosine;
    /// A rank counts all that is nearer.
    const LISTS: bool = false;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let cosines = row.entries();
        let sharpness = 1. / self.temperature;
        let share = 1. / row.num_positives() as f64;
        let mut term = 1.;
        let mut above = vec![T::ZERO; cosines.len()];
        for j in row.positives() {
            // How much is ranked above j: by its sigmoid, of the row and j itself nothing.
            above.copy_from_slice(cosines);
            [above[row.index()], above[j]] = [T::NEG_INFINITY; 2];
            let all = 1. + row::logistics(&mut above, T::narrow(sharpness), cosines[j]);
            let near = 1. + row.with_query().map(|k| above[k].wide()).sum::<f64>();
            term -= share * near / all;
            // By the rank among all, which every row has a part in; then by that among the positives.
            let by_all = share * sharpness * near / (all * all);
            let factor = T::narrow(by_all);
            let mut steps = [0f64; 16];
            for (s, a) in gradient.chunks_mut(16).zip(above.chunks(16)) {
                for ((s, &a), step) in s.iter_mut().zip(a).zip(&mut steps) {
                    let by = factor * a * (T::ONE - a);
                    *s += by;
                    *step += by.wide();
                }
            }
            let mut whole: f64 = steps.iter().sum();
            for k in row.with_query() {
                let a = above[k].wide();
                let by = share * sharpness / all * a * (1. - a);
                gradient[k] = T::narrow(gradient[k].wide() - by);
                whole -= by;
            }
            gradient[j] = T::narrow(gradient[j].wide() - whole);
        }
        RowTerms::one(term)
    }
}

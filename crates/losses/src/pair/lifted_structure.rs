use crate::row::{MatrixLoss, Relations, RowMatrix, log_sum_exp, of_matrix};
use crate::setting::finite;
use crate::{Accepts, Batch, Entry, Loss, LossContext, LossSettings, LossValue, Result, Row};
use npair_similarity::{Element, row};
use npair_types::PairList;

/// Lifted structure loss: every positive pair against the negatives of both its ends.
///
/// ```text
/// L = 1/(2 |P|)  sum_{(i, j) in P}  max(0, J_ij)^2
/// J_ij = log( sum_{n in N_i} exp(m- - d_in) + sum_{n in N_j} exp(m- - d_jn) ) + d_ij - m+
/// ```
/// P are the unordered pairs of one class, d the distance of rows of length 1, N the rows of other classes. With a miner P are the
/// positive pairs and N the negatives that it chose; a pair without a negative at either end has the term 0.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|, `active` counts the terms above 0.
///
/// # Units
/// Squared nats. Embeddings are normalized here (the paper's are not).
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
/// # use npair_losses::{Batch, LiftedStructure, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [2., 0.], [-2., 0.]], &Device::Cpu)?;
/// let loss = LiftedStructure::new(3., 0.)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
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

npair_types::settings! {
    /// Lifted structure (Song et al., 2016). The usual values are the paper's and pytorch-metric-learning's.
    pub struct LiftedStructureSettings {
        /// Margin m- of negatives.
        negative: f64 = 1.0,
        /// Margin m+ of positives.
        positive: f64 = 0.0,
    }
}

impl Default for LiftedStructure {
    /// With the usual [`LiftedStructureSettings`].
    fn default() -> Self {
        let LiftedStructureSettings { negative, positive } = Default::default();
        Self { negative, positive }
    }
}

impl LossSettings for LiftedStructureSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(LiftedStructure::new(self.negative, self.positive)?))
    }
}

impl MatrixLoss for LiftedStructure {
    const NAME: &'static str = "lifted structure loss";
    const ENTRY: Entry = Entry::Distance;

    fn matrix<T: Element>(&self, matrix: RowMatrix<T>, relations: &Relations, batch: &Batch) -> Result<LossValue> {
        let pairs = pairs(batch);
        let lifts = matrix.map(|i, distances| self.lift(relations.row(i, distances), &mut distances.to_vec()));
        // How much of the gradient falls on each row's sum over negatives.
        let mut on_lift = vec![0.; batch.labels().len()];
        // The excess over 0 of a pair, in the row of its first example.
        let above = |i: usize, j: usize, both: f64| both + matrix.line(i)[j].wide() - self.positive;
        let (mut sum, mut active) = (0., 0);
        for (i, j) in of_all(&pairs) {
            let both = log_sum_exp([lifts[i], lifts[j]].into_iter());
            let above = above(i, j, both);
            if above > 0. {
                active += 1;
                sum += above.powi(2) / 2.;
                on_lift[i] += above * (lifts[i] - both).exp();
                on_lift[j] += above * (lifts[j] - both).exp();
            }
        }
        let (gradients, _) = matrix.map_to_gradient(|i, distances, gradient| {
            if on_lift[i] != 0. {
                gradient.copy_from_slice(distances);
                let share = -on_lift[i] / self.weigh(relations.row(i, distances), gradient).1;
                gradient.iter_mut().for_each(|by| *by *= T::narrow(share));
            }
            for &j in &pairs[i] {
                let both = log_sum_exp([lifts[i], lifts[j]].into_iter());
                gradient[j] = T::narrow((both + distances[j].wide() - self.positive).max(0.));
            }
        });
        let terms = of_all(&pairs).count();
        let factor = if terms == 0 { 0. } else { 1. / terms as f64 };
        Ok(LossValue::new(gradients.attach(batch.embeddings(), sum * factor, factor)?, terms, active))
    }
}

/// The positive pairs of a batch, by the row of their first example: each once, or as a miner chose them.
fn pairs(batch: &Batch) -> Vec<Vec<usize>> {
    let b = batch.labels().len();
    match batch.listed() {
        Some(list) => chosen(&list, b),
        None => {
            let classes = batch.classes();
            (0..b).map(|i| classes.of(i).iter().copied().filter(|&j| j > i).collect()).collect()
        }
    }
}

fn chosen(list: &PairList, b: usize) -> Vec<Vec<usize>> {
    let mut pairs = vec![Vec::new(); b];
    list.positives().iter().for_each(|&[i, j]| pairs[i].push(j));
    pairs
}

fn of_all(pairs: &[Vec<usize>]) -> impl Iterator<Item = (usize, usize)> + '_ {
    pairs.iter().enumerate().flat_map(|(i, others)| others.iter().map(move |&j| (i, j)))
}

impl LiftedStructure {
    /// `log sum exp(m- - d)` over the negatives of a row, minus infinity of none; distances become weights.
    fn lift<T: Element>(&self, row: Row<'_, T>, distances: &mut [T]) -> f64 {
        if row.num_negatives() == 0 {
            return f64::NEG_INFINITY;
        }
        let (nearest, sum) = self.weigh(row, distances);
        self.negative - nearest + sum.ln()
    }

    /// Distances of negatives become `exp(nearest - d)`, others 0; the nearest negative's and the sum.
    fn weigh<T: Element>(&self, row: Row<'_, T>, distances: &mut [T]) -> (f64, f64) {
        row.keep_negatives(distances, T::INFINITY);
        let nearest = row::smallest(distances);
        (nearest.wide(), row::exps(distances, T::ZERO - T::ONE, nearest))
    }
}

impl Loss for LiftedStructure {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_matrix(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists()
    }

    fn name(&self) -> &str {
        Self::NAME
    }
}

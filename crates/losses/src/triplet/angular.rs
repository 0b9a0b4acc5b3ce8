use crate::row::{Lengths, log_sum_exp, of_products, sigmoid, softplus};
use crate::rows::{accept, dots, expect_like, pick, unit_rows};
use crate::setting::within;
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::{ClassId, Labels, Measure, PairList};

/// Angular loss: the angle at the negative in the triangle of anchor, positive and negative is kept below alpha, for all
/// negatives of a pair at once.
///
/// ```text
/// L = 1/|P|  sum_{(a, p) in P}  log(1 + sum_{n: y_n != y_a} exp(4 t (x_a + x_p) . x_n - 2 (1 + t) x_a . x_p))
/// t = tan(alpha)^2,  P = unordered pairs of one class,  x rows of length 1
/// ```
/// With a miner P are the positive pairs, and the negatives those of their anchor, that it chose.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|.
///
/// # Units
/// Nats. Embeddings are normalized here.
///
/// # Gradient
/// Finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed over the negatives: O((B + |P|) D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if P is empty or there is only one class.
///
/// # Source
/// Wang et al., ICCV 2017 (arXiv 1708.01682), on rows of length 1 as there. pytorch-metric-learning's `AngularLoss` keeps the
/// negatives' length: see [`against`](Self::against).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Angular, Batch, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.]], &Device::Cpu)?;
/// let loss = Angular::new(45.)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?; // t = 1: log(1 + exp(0 - 4))
/// assert!((loss.to_f64()? - (-4f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Angular {
    degrees: f64,
}

impl Angular {
    /// With alpha in degrees, above 0 and below 90.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if alpha is out of range.
    pub fn new(degrees: f64) -> Result<Self> {
        let legal = degrees > 0. && degrees < 90.;
        Ok(Self { degrees: within("alpha", degrees, legal, "above 0 and below 90 degrees")? })
    }
}

npair_types::settings! {
    /// Angular loss (Wang et al., 2017). The usual value is pytorch-metric-learning's; the paper tries 36 to 55.
    pub struct AngularSettings {
        /// Bound alpha of the angle in degrees, above 0 and below 90.
        degrees: f64 = 40.0,
    }
}

impl Default for Angular {
    /// With the usual [`AngularSettings`].
    fn default() -> Self {
        let AngularSettings { degrees } = Default::default();
        Self { degrees }
    }
}

impl LossSettings for AngularSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Angular::new(self.degrees)?))
    }
}

impl Angular {
    /// The loss with negatives (B, D) taken as they are: row i of `negatives` stands for example i where it is a negative.
    /// pytorch-metric-learning's `AngularLoss` is this with the embeddings themselves, which leaves negatives, but not
    /// anchors and positives, at their length.
    ///
    /// # Errors
    /// As of the loss, and [`Error::Shape`](crate::Error::Shape) if the two shapes differ.
    pub fn against(&self, embeddings: &Tensor, negatives: &Tensor, labels: &Labels) -> Result<LossValue> {
        let batch = Batch::new(embeddings, labels)?;
        expect_like("negatives", negatives, "embeddings", embeddings)?;
        let negatives = accept("negatives", negatives)?;
        self.of_normalized(&batch, &unit_rows(batch.embeddings())?, &negatives)
    }

    fn of_normalized(&self, batch: &Batch, rows: &Tensor, negatives: &Tensor) -> Result<LossValue> {
        let (with, labels, classes) = (batch.with_both(self.name())?, batch.labels(), batch.classes());
        // Both orders of a pair have the same term.
        let pairs = with.iter().flat_map(|&a| classes.positives(a).filter(move |&p| a < p).map(move |p| (a, p)));
        let (anchors, positives): (Vec<_>, Vec<_>) = pairs.unzip();
        let of_pairs = Labels::from_ids(anchors.iter().map(|&i| labels.get(i)).collect::<Vec<ClassId>>())?;
        let (a, p) = (pick(rows, &anchors)?, pick(rows, &positives)?);
        let t = self.t();
        let own = (dots(&a, &p)? * (2. * (1. + t)))?;
        let both = ((a + p)? * (4. * t))?;
        let terms = Similarity::new(&both, negatives, Measure::Dot)?
            .log1p_sum_exp_above(&own, &Mask::other_class(&of_pairs, labels))?;
        Ok(LossValue::smooth(terms.mean_all()?, anchors.len()))
    }

    fn t(&self) -> f64 {
        self.degrees.to_radians().tan().powi(2)
    }

    /// The loss of listed pairs. The products of a positive pair (a, p) are those of a with p, then for every negative n of a those
    /// of a with n and of p with n.
    fn listed(&self, batch: &Batch, list: &PairList) -> Result<LossValue> {
        let mut negatives = vec![Vec::new(); batch.labels().len()];
        list.negatives().iter().for_each(|&[a, n]| negatives[a].push(n));
        let of_pair = |&[a, p]: &[usize; 2]| {
            std::iter::once([a, p]).chain(negatives[a].iter().flat_map(move |&n| [[a, n], [p, n]]))
        };
        let pairs: Vec<[usize; 2]> = list.positives().iter().flat_map(of_pair).collect();
        let (count, t) = (list.positives().len(), self.t());
        let (by_negative, by_own) = (4. * t, 2. * (1. + t));
        let value = of_products(batch, Lengths::One, &pairs, |products| {
            let (mut sum, mut at) = (0., 0);
            let mut gradient = vec![0.; products.len()];
            for &[a, _] in list.positives() {
                let end = at + 1 + 2 * negatives[a].len();
                let (own, others) = (products[at], &products[at + 1..end]);
                let all = log_sum_exp(others.chunks_exact(2).map(|both| by_negative * (both[0] + both[1])));
                let above = all - by_own * own;
                let up = sigmoid(above) / count as f64;
                sum += softplus(above) / count as f64;
                gradient[at] = -by_own * up;
                for (both, by) in others.chunks_exact(2).zip(gradient[at + 1..end].chunks_exact_mut(2)) {
                    by.fill(by_negative * up * (by_negative * (both[0] + both[1]) - all).exp());
                }
                at = end;
            }
            (sum, gradient)
        })?;
        Ok(LossValue::smooth(value, count))
    }
}

impl Loss for Angular {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return self.listed(batch, &list);
        }
        let rows = unit_rows(batch.embeddings())?;
        self.of_normalized(batch, &rows, &rows)
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists()
    }

    fn name(&self) -> &str {
        "angular loss"
    }
}

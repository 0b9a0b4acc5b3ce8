use crate::positives::{ordered_pairs, with_both};
use crate::rows::{dots, expect_like, pick, unit_rows};
use crate::setting::within;
use crate::{Loss, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::{ClassId, Labels, Measure};

/// Angular loss: the angle at the negative in the triangle of anchor, positive and negative is kept below alpha, for all
/// negatives of a pair at once.
///
/// ```text
/// L = 1/|P|  sum_{(a, p) in P}  log(1 + sum_{n: y_n != y_a} exp(4 t (x_a + x_p) . x_n - 2 (1 + t) x_a . x_p))
/// t = tan(alpha)^2,  P = unordered pairs of one class,  x rows of length 1
/// ```
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is |P|.
///
/// # Units
/// Nats. Embeddings are normalised here.
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
/// # use npair_losses::{Angular, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.]], &Device::Cpu)?;
/// let loss = Angular::new(45.)?.forward(&x, &Labels::new([1, 1, 2])?)?; // t = 1: log(1 + exp(0 - 4))
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

impl Default for Angular {
    /// 40 degrees, pytorch-metric-learning's (the paper tries 36 to 55).
    fn default() -> Self {
        Self { degrees: 40. }
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
        let with = with_both("angular loss", embeddings, labels)?;
        expect_like("negatives", negatives, "embeddings", embeddings)?;
        self.of_unit_rows(&unit_rows(embeddings)?, negatives, labels, &with)
    }

    fn of_unit_rows(&self, rows: &Tensor, negatives: &Tensor, labels: &Labels, with: &[usize]) -> Result<LossValue> {
        // Both orders of a pair have the same term.
        let (anchors, positives) = ordered_pairs(with, labels);
        let (anchors, positives): (Vec<_>, Vec<_>) = anchors.into_iter().zip(positives).filter(|(a, p)| a < p).unzip();
        let of_pairs = Labels::from_ids(anchors.iter().map(|&i| labels.get(i)).collect::<Vec<ClassId>>())?;
        let (a, p) = (pick(rows, &anchors)?, pick(rows, &positives)?);
        let t = self.degrees.to_radians().tan().powi(2);
        let own = (dots(&a, &p)? * (2. * (1. + t)))?;
        let both = ((a + p)? * (4. * t))?;
        let terms = Similarity::new(&both, negatives, Measure::Dot)?
            .log1p_sum_exp_above(&own, &Mask::other_class(&of_pairs, labels))?;
        Ok(LossValue::smooth(terms.mean_all()?, anchors.len()))
    }
}

impl Loss for Angular {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let with = with_both("angular loss", embeddings, labels)?;
        let rows = unit_rows(embeddings)?;
        self.of_unit_rows(&rows, &rows, labels, &with)
    }
}

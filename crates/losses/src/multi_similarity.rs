use crate::gallery::loss_of_gallery;
use crate::rows::unit_rows;
use crate::setting::{above_zero, finite};
use crate::{Gallery, GalleryLoss, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// Multi-similarity loss: soft maxima over the positives and over the negatives of every row, each around one cosine.
///
/// ```text
/// L = 1/B  sum_i  1/a log(1 + sum_{p in P_i} exp(-a (c_ip - l)))  +  1/b log(1 + sum_{n in N_i} exp(b (c_in - l)))
/// ```
/// c the cosine, P_i the other rows of i's class, N_i those of other classes. The paper's pair mining is apart.
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. A row without positives (negatives) keeps its other half.
///
/// # Units
/// Cosine. Embeddings are normalised here.
///
/// # Gradient
/// Finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// Both halves are streamed: O(B D) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) for a single row.
///
/// # Source
/// Wang et al., CVPR 2019 (arXiv 1904.06627). Values as pytorch-metric-learning's `MultiSimilarityLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, MultiSimilarity};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.]], &Device::Cpu)?;
/// let loss = MultiSimilarity::new(2., 4., 0.5)?.forward(&x, &Labels::new([1, 1, 2])?)?;
/// // Rows 0 and 1: a positive at cosine 1, a negative at 0. Row 2: two negatives at 0.
/// let positive = (-1f64).exp().ln_1p() / 2.;
/// let negative = |n: f64| (n * (-2f64).exp()).ln_1p() / 4.;
/// assert!((loss.to_f64()? - (2. * positive + 2. * negative(1.) + negative(2.)) / 3.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MultiSimilarity {
    alpha: f64,
    beta: f64,
    base: f64,
}

impl MultiSimilarity {
    /// With sharpness `alpha` a > 0 of positives, `beta` b > 0 of negatives, around the cosine `base` l.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(alpha: f64, beta: f64, base: f64) -> Result<Self> {
        Ok(Self {
            alpha: above_zero("alpha", alpha)?,
            beta: above_zero("beta", beta)?,
            base: finite("the base", base)?,
        })
    }
}

impl Default for MultiSimilarity {
    /// a = 2, b = 50, l = 0.5: pytorch-metric-learning's (the paper takes l = 1).
    fn default() -> Self {
        Self { alpha: 2., beta: 50., base: 0.5 }
    }
}

impl GalleryLoss for MultiSimilarity {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.expect_two("multi-similarity loss")?;
        let unit = gallery.map(unit_rows)?;
        let (queries, rows) = (unit.queries(), unit.rows()?);
        let b = queries.dim(0)?;
        let half = |slope: f64, mask: &Mask| -> Result<Tensor> {
            let base = (Tensor::ones(b, rows.dtype(), rows.device())? * (slope * self.base))?;
            let terms = Similarity::new(&(queries * slope)?, &rows, Measure::Dot)?.log1p_sum_exp_above(&base, mask)?;
            Ok((terms.mean_all()? / slope.abs())?)
        };
        let near = half(-self.alpha, &gallery.is_positive())?;
        let far = half(self.beta, &gallery.is_negative())?;
        Ok(LossValue::smooth((near + far)?, b))
    }
}

loss_of_gallery!(MultiSimilarity);

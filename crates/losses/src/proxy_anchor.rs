use crate::class_weights::{ClassWeights, one_row_per_class, setting};
use crate::rows::unit_rows;
use crate::setting::{above_zero, finite};
use crate::{Loss, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure};

/// Proxy-anchor loss: every class's proxy against all examples of the batch, near ones of its class and far ones of others
/// in soft maxima.
///
/// ```text
/// L = 1/|C+|  sum_{c in C+}  log(1 + sum_{i: y_i = c}  exp(-a (cos(x_i, p_c) - m)))
///   + 1/C     sum_c          log(1 + sum_{i: y_i != c} exp( a (cos(x_i, p_c) + m)))
/// ```
/// C+ are the classes present in the batch. a = 32 and m = 0.1 unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; proxies p: (C, D), trained; a scalar. `terms` is C. Both are
/// normalised here.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and proxies, finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed over the batch: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Kim et al., CVPR 2020 (arXiv 2003.13911), equation 4. Values as pytorch-metric-learning's `ProxyAnchorLoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, ProxyAnchor};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = ProxyAnchor::from_parts(&[ClassId(1), ClassId(2)], &weights)?.with_alpha(2.)?.with_margin(0.5)?;
/// let loss = loss.forward(&x, &Labels::new([1])?)?; // the own proxy: exp(-2 (1 - 0.5)); the other: exp(2 (0 + 0.5)), of 2
/// assert!((loss.to_f64()? - ((-1f64).exp().ln_1p() + 1f64.exp().ln_1p() / 2.)).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProxyAnchor {
    weights: ClassWeights,
    alpha: f64,
    margin: f64,
}

one_row_per_class!(ProxyAnchor, "proxy-anchor loss", { alpha: 32., margin: 0.1 });
setting!(ProxyAnchor, with_alpha, alpha, |a| above_zero("alpha", a), "With sharpness a > 0.");
setting!(ProxyAnchor, with_margin, margin, |m| finite("the margin", m), "With margin m.");

impl Loss for ProxyAnchor {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.weights.places(embeddings, labels)?;
        let (rows, proxies) = (unit_rows(embeddings)?, self.weights.unit()?);
        let classes = self.weights.classes();
        let half = |slope: f64, mask: Mask| -> Result<Tensor> {
            // Both halves are above alpha times the margin's side: -a (c - m) = -a c + a m, a (c + m) = a c + a m.
            let shift = (Tensor::ones(classes, rows.dtype(), rows.device())? * (-self.alpha * self.margin))?;
            let all = Similarity::new(&(&proxies * slope)?, &rows, Measure::Dot)?;
            Ok(all.log1p_sum_exp_above(&shift, &mask)?.sum_all()?)
        };
        // A class without an example has an empty sum: log 1.
        let near = half(-self.alpha, Mask::same_class(self.weights.of_rows(), labels))?;
        let far = half(self.alpha, Mask::other_class(self.weights.of_rows(), labels))?;
        let present = labels.classes().len() as f64;
        let value = ((near / present)? + (far / classes as f64)?)?;
        Ok(LossValue::smooth(value, classes))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("proxies")
    }
}

use crate::class_weights::{ClassWeights, one_row_per_class, setting};
use crate::setting::above_zero;
use crate::{Loss, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::Labels;

/// Proxy-NCA: the share of the own class's proxy in the soft-max of negative squared distances to all proxies, all of
/// length 1.
///
/// ```text
/// L = 1/B  sum_i  -log( exp(-s |x_i - p_{y_i}|^2) / sum_c exp(-s |x_i - p_c|^2) )
/// ```
/// The own proxy stands in the denominator too, as in all published code; the paper's formula leaves it out, which is not
/// bounded below. s = 1 unless set.
///
/// # Shapes
/// Embeddings x: (B, D) with labels among the C classes; proxies p: (C, D), trained; a scalar. Both are normalised here.
///
/// # Units
/// Nats.
///
/// # Gradient
/// To embeddings and proxies, finite everywhere; a zero row counts as at cosine 0 from all.
///
/// # Numerics
/// For rows of length 1 this is a softmax of `2 s cos`; streamed over the classes: O((B + C) D) memory.
///
/// # Errors
/// [`Error::UnknownClass`](crate::Error::UnknownClass) for a label outside the C classes.
///
/// # Source
/// Movshovitz-Attias et al., ICCV 2017 (arXiv 1703.07464). Values as pytorch-metric-learning's `ProxyNCALoss`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, ProxyNca};
/// # use npair_types::{ClassId, Labels};
/// let weights = Tensor::new(&[[2f64, 0.], [0., 1.]], &Device::Cpu)?;
/// let x = Tensor::new(&[[3f64, 0.]], &Device::Cpu)?;
/// let loss = ProxyNca::from_parts(&[ClassId(1), ClassId(2)], &weights)?;
/// let loss = loss.forward(&x, &Labels::new([1])?)?; // squared distances 0 and 2
/// assert!((loss.to_f64()? - (-2f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProxyNca {
    weights: ClassWeights,
    scale: f64,
}

one_row_per_class!(ProxyNca, "Proxy-NCA", { scale: 1. });
setting!(ProxyNca, with_scale, scale, |s| above_zero("the scale", s), "With scale s > 0.");

impl Loss for ProxyNca {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.weights.margin_softmax(embeddings, labels, 2. * self.scale, |cosines| Ok(cosines.clone()))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.weights.variables("proxies")
    }
}

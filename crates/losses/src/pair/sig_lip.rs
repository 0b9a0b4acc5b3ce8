use crate::device::upload;
use crate::loss_of_pairs::{PairLoss, expect_pairs, of_pairs};
use crate::rows::unit_rows;
use crate::stable::softplus;
use crate::{Accepts, Batch, Error, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::{Mask, Similarity};
use npair_types::Measure;

/// SigLIP's sigmoid loss: every pair of a query and a positive is classified on its own as matching or not, with a learned
/// temperature and bias.
///
/// ```text
/// L = 1/N  sum_i  ( log(1 + exp(-z_ii))  +  sum_{j != i} log(1 + exp(z_ij)) )
/// z_ij = exp(t) cos(f_i, p_j) + b
/// ```
/// t = log 10 and b = -10 at first, the paper's: most pairs do not match.
///
/// # Shapes
/// `anchors` f and `positives` p: (N, D), row i of both from class i, N >= 2; t and b scalars, trained; a scalar. `terms`
/// is N^2.
///
/// # Units
/// Nats; the sum over the N pairs of a query is not divided by N. Embeddings are normalized here.
///
/// # Gradient
/// To both sides, t and b, finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// Streamed, summed in f64: O(N D) memory.
///
/// # Errors
/// [`Error::TooFew`] for N < 2; a similarity error if t has grown so that exp(t) overflows.
///
/// # Source
/// Zhai et al., ICCV 2023 (arXiv 2303.15343), equation in section 3.2.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{PairLoss, SigLip};
/// let scalar = |v: f64| Tensor::new(v, &Device::Cpu);
/// let x = Tensor::new(&[[2f64, 0.], [0., 3.]], &Device::Cpu)?;
/// let loss = SigLip::from_parts(&scalar(2f64.ln())?, &scalar(-1.)?)?.forward_pairs(&x, &x)?;
/// // z = 2 - 1 of the pair, 0 - 1 of the other.
/// assert!((loss.to_f64()? - 2. * (-1f64).exp().ln_1p()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SigLip {
    log_temperature: Tensor,
    bias: Tensor,
    /// Bias and temperature as variables, if they are this loss's own to train.
    variables: Option<[Var; 2]>,
}

npair_types::settings! {
    /// Sigmoid loss of N pairs (Zhai et al., 2023), its temperature and bias learned.
    pub struct SigLipSettings {}
}

impl LossSettings for SigLipSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(SigLip::new(context.dtype, context.device)?))
    }
}

impl SigLip {
    /// With variables of its own, t = log 10 and b = -10 at first.
    ///
    /// # Errors
    /// Those of candle.
    pub fn new(dtype: DType, device: &Device) -> Result<Self> {
        let var = |v: f64| Ok::<_, Error>(Var::from_tensor(&upload(vec![v], (), dtype, device)?)?);
        let (t, b) = (var(10f64.ln())?, var(-10.)?);
        let made = Self::from_parts(&t, &b)?;
        Ok(Self { variables: Some([b, t]), ..made })
    }

    /// With given scalars t, the logarithm of the temperature, and b; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::Shape`] if one is no scalar.
    pub fn from_parts(log_temperature: &Tensor, bias: &Tensor) -> Result<Self> {
        for (what, t) in [("the logarithm of the temperature", log_temperature), ("the bias", bias)] {
            if t.rank() != 0 {
                return Err(Error::Shape { what, got: t.dims().to_vec(), want: "a scalar".to_owned() });
            }
        }
        Ok(Self { log_temperature: log_temperature.clone(), bias: bias.clone(), variables: None })
    }
}

impl PairLoss for SigLip {
    fn forward_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let (anchors, positives) = expect_pairs("SigLIP loss", anchors, positives)?;
        let (n, dtype) = (anchors.dim(0)?, anchors.dtype());
        let temperature = self.log_temperature.to_dtype(dtype)?.exp()?;
        let below = self.bias.to_dtype(dtype)?.neg()?.broadcast_as(n)?.contiguous()?;
        let queries = unit_rows(&anchors)?.broadcast_mul(&temperature)?;
        let all = Similarity::new(&queries, &unit_rows(&positives)?, Measure::Dot)?;
        // Logits are products above minus the bias.
        let others = all.softplus_sum_above(&below, &Mask::OffDiagonal)?;
        let own = softplus(&(below - all.diagonal()?)?)?;
        Ok(LossValue::smooth((own + others)?.mean_all()?, n * n))
    }
}

impl Loss for SigLip {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_pairs(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::n_pairs()
    }

    fn name(&self) -> &str {
        "SigLIP loss"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        match &self.variables {
            Some([bias, t]) => vec![("bias".to_owned(), bias.clone()), ("log_temperature".to_owned(), t.clone())],
            None => Vec::new(),
        }
    }
}

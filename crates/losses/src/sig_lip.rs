use crate::loss::expect_pairs;
use crate::rows::{expect_matrix, unit_rows};
use crate::stable::softplus;
use crate::{Error, Loss, LossValue, PairLoss, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure, Pairs};

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
/// Nats; the sum over the N pairs of a query is not divided by N. Embeddings are normalised here.
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
/// let loss = SigLip::from_parts(&scalar(2f64.ln())?, &scalar(-1.)?)?.of_pairs(&x, &x)?;
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

impl SigLip {
    /// With variables of its own, t = log 10 and b = -10 at first.
    ///
    /// # Errors
    /// Those of candle.
    pub fn new(dtype: DType, device: &Device) -> Result<Self> {
        let var = |v: f64| Ok::<_, crate::Error>(Var::from_tensor(&crate::away::upload(vec![v], (), dtype, device)?)?);
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
    fn of_pairs(&self, anchors: &Tensor, positives: &Tensor) -> Result<LossValue> {
        let n = expect_pairs("SigLIP loss", anchors, positives)?;
        let dtype = anchors.dtype();
        let temperature = self.log_temperature.to_dtype(dtype)?.exp()?;
        let below = self.bias.to_dtype(dtype)?.neg()?.broadcast_as(n)?.contiguous()?;
        let queries = unit_rows(anchors)?.broadcast_mul(&temperature)?;
        let all = Similarity::new(&queries, &unit_rows(positives)?, Measure::Dot)?;
        // Logits are products above minus the bias.
        let others = all.softplus_sum_above(&below, &Mask::OffDiagonal)?;
        let own = softplus(&(below - all.diagonal()?)?)?;
        Ok(LossValue::smooth((own + others)?.mean_all()?, n * n))
    }
}

impl Loss for SigLip {
    /// Of a batch that holds exactly two rows of every class.
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        labels.expect_len(expect_matrix("embeddings", embeddings)?.0)?;
        self.of_pairs_in(embeddings, &Pairs::from_labels(labels)?)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        match &self.variables {
            Some([bias, t]) => vec![("bias".to_owned(), bias.clone()), ("log_temperature".to_owned(), t.clone())],
            None => Vec::new(),
        }
    }
}

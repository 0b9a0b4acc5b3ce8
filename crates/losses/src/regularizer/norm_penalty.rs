use crate::rows::accept;
use crate::setting::from_zero;
use crate::{Regularizer, RegularizerSettings, Result};
use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

/// How the norms of embeddings are penalized. The paper regularizes them to be small but gives neither form nor weight
/// (section 3.2.2), and published code disagrees; these are the forms in use, on the 2N rows x of a batch of N pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormForm {
    /// `mean |x|^2` over all rows; the default here, and pytorch-metric-learning's `LpRegularizer(power=2)`.
    #[default]
    MeanSquare,
    /// `1/4 (mean_i |a_i|^2 + mean_i |p_i|^2)`, half of [`MeanSquare`](Self::MeanSquare): TensorFlow 1's `npairs_loss`
    /// (weight 0.002), also Paddle's `npair_loss`.
    QuarterPerSide,
    /// `1/N sum (|a_i|^2 + |p_i|^2)`, twice [`MeanSquare`](Self::MeanSquare): a common PyTorch re-implementation (weight
    /// 0.02).
    SumPerPair,
    /// `mean |x|`, the plain norm: the re-implementation of "Revisiting Training Strategies" (weight 0.005).
    MeanNorm,
}

/// Regularization of embedding norms: `weight * form(x)`, added to a loss.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{NormForm, NormPenalty, Regularizer};
/// let x = Tensor::new(&[[3f64, 4.], [0., 1.]], &Device::Cpu)?; // |x|^2: 25 and 1
/// let penalty = |form| NormPenalty::new(0.1, form)?.penalty(&x)?.to_scalar::<f64>().map_err(npair_losses::Error::from);
/// assert!((penalty(NormForm::MeanSquare)? - 1.3).abs() < 1e-15);
/// assert!((penalty(NormForm::QuarterPerSide)? - 0.65).abs() < 1e-15);
/// assert!((penalty(NormForm::SumPerPair)? - 2.6).abs() < 1e-15);
/// assert!((penalty(NormForm::MeanNorm)? - 0.3).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct NormPenalty {
    weight: f64,
    form: NormForm,
}

impl NormPenalty {
    /// A penalty of weight >= 0.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the weight is negative or not finite.
    pub fn new(weight: f64, form: NormForm) -> Result<Self> {
        Ok(Self { weight: from_zero("the norm penalty's weight", weight)?, form })
    }
}

npair_types::settings! {
    /// The norms of embeddings kept small, as in the paper, which gives no number.
    pub struct NormPenaltySettings {
        /// Its weight, from 0; 0 for none.
        weight: f64 = 0.002,
        /// Its form.
        form: NormForm = NormForm::MeanSquare,
    }
}

impl RegularizerSettings for NormPenaltySettings {
    fn build(&self) -> Result<Box<dyn Regularizer>> {
        Ok(Box::new(NormPenalty::new(self.weight, self.form)?))
    }
}

impl Regularizer for NormPenalty {
    /// With its weight; 0 at a zero row, gradient too.
    fn penalty(&self, embeddings: &Tensor) -> Result<Tensor> {
        let embeddings = accept("embeddings", embeddings)?;
        let squares = embeddings.sqr()?.sum(D::Minus1)?;
        let penalty = match self.form {
            NormForm::MeanSquare => squares.mean_all()?,
            NormForm::QuarterPerSide => (squares.mean_all()? * 0.5)?,
            NormForm::SumPerPair => (squares.mean_all()? * 2.)?,
            NormForm::MeanNorm => {
                let some = squares.gt(0f64)?;
                let safe = some.where_cond(&squares, &squares.ones_like()?)?;
                some.where_cond(&safe.sqrt()?, &squares.zeros_like()?)?.mean_all()?
            }
        };
        Ok((penalty * self.weight)?)
    }

    fn name(&self) -> &str {
        "norm penalty"
    }
}

use crate::rows::expect_matrix;
use crate::{Error, Regulariser, Result};
use candle_core::{D, Tensor};

/// How the norms of embeddings are penalised. The paper regularises them to be small but gives neither form nor weight
/// (section 3.2.2), and published code disagrees; these are the forms in use, on the 2N rows x of a batch of N pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// Regularisation of embedding norms: `weight * form(x)`, added to a loss.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{NormForm, NormPenalty, Regulariser};
/// let x = Tensor::new(&[[3f64, 4.], [0., 1.]], &Device::Cpu)?; // |x|^2: 25 and 1
/// let penalty = |form| NormPenalty::new(0.1, form)?.of(&x)?.to_scalar::<f64>().map_err(npair_losses::Error::from);
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
    /// [`Error::Setting`] if the weight is negative or not finite.
    pub fn new(weight: f64, form: NormForm) -> Result<Self> {
        if !weight.is_finite() || weight < 0. {
            return Err(Error::Setting {
                what: "the norm penalty's weight",
                got: weight,
                range: "a finite number from 0",
            });
        }
        Ok(Self { weight, form })
    }
}

impl Regulariser for NormPenalty {
    /// With its weight; 0 at a zero row, gradient too.
    fn of(&self, embeddings: &Tensor) -> Result<Tensor> {
        expect_matrix("embeddings", embeddings)?;
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
}

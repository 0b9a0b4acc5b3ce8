use crate::rows::{accept, distances, expect_like, pick, squared_distances};
use crate::setting::above_zero;
use crate::{Accepts, Batch, Error, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;

/// Contrastive loss: pairs of one class are pulled together, pairs of two classes pushed apart up to a margin.
///
/// ```text
/// L = 1/P  sum over pairs (a, b)   |a - b|^2                 if of one class
///                                  max(0, m - |a - b|)^2     if not
/// ```
/// The distance inside the hinge is not squared; the hinge is. Of a batch the pairs are all B (B - 1) / 2, or those that a miner
/// chose.
///
/// # Shapes
/// `left` a, `right` b: (P, D), `same` P flags; a scalar.
///
/// # Units
/// Squared distance.
///
/// # Gradient
/// Two equal embeddings of different classes have no direction to be pushed in: their gradient is 0, not infinite.
///
/// # Source
/// Sohn, NIPS 2016, equation 1; Hadsell et al., CVPR 2006.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::Contrastive;
/// let a = Tensor::new(&[[0f64, 0.], [0., 0.]], &Device::Cpu)?;
/// let b = Tensor::new(&[[3f64, 4.], [0., 2.]], &Device::Cpu)?;
/// let loss = Contrastive::new(5.)?.forward_pairs(&a, &b, &[true, false])?; // (25 + (5 - 2)^2) / 2
/// assert_eq!(loss.to_f64()?, 17.);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Contrastive {
    margin: f64,
}

npair_types::settings! {
    /// Contrastive, equation 1, over all pairs of the batch.
    pub struct ContrastiveSettings {
        /// Margin m of the distance, above 0. The paper names no value, so it has to be set.
        margin: f64 = f64::NAN,
    }
}

impl LossSettings for ContrastiveSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Contrastive::new(self.margin)?))
    }
}

impl Contrastive {
    /// With margin m > 0.
    ///
    /// # Errors
    /// [`Error::Setting`] if the margin is not a positive number.
    pub fn new(margin: f64) -> Result<Self> {
        Ok(Self { margin: above_zero("the margin", margin)? })
    }

    /// The loss of P pairs of rows, of one class where `same` says so.
    ///
    /// # Errors
    /// [`Error::Shape`] if shapes or the number of flags do not fit.
    pub fn forward_pairs(&self, left: &Tensor, right: &Tensor, same: &[bool]) -> Result<LossValue> {
        let left = accept("left", left)?;
        expect_like("right", right, "left", &left)?;
        let (right, p) = (accept("right", right)?, left.dim(0)?);
        if same.len() != p {
            return Err(Error::Shape { what: "same", got: vec![same.len()], want: format!("({p}), a flag per pair") });
        }
        let same = Tensor::from_vec(same.iter().map(|&s| u8::from(s)).collect(), p, left.device())?;
        let squares = squared_distances(&left, &right)?;
        let push = (distances(&squares)?.neg()? + self.margin)?.relu()?.sqr()?;
        LossValue::hinged(&same.where_cond(&squares, &push)?)
    }
}

impl Loss for Contrastive {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let (x, labels) = (batch.embeddings(), batch.labels());
        if let Some(list) = batch.listed() {
            if list.is_empty() {
                return LossValue::nothing(x);
            }
            let pairs = || list.positives().iter().chain(list.negatives());
            let (left, right): (Vec<_>, Vec<_>) = pairs().map(|&[a, b]| (a, b)).unzip();
            let same: Vec<bool> = (0..list.len()).map(|at| at < list.positives().len()).collect();
            return self.forward_pairs(&pick(x, &left)?, &pick(x, &right)?, &same);
        }
        batch.expect_two(self.name())?;
        let b = labels.len();
        let (left, right): (Vec<_>, Vec<_>) = (0..b).flat_map(|i| (i + 1..b).map(move |j| (i, j))).unzip();
        let same: Vec<bool> = left.iter().zip(&right).map(|(&i, &j)| labels.same(i, j)).collect();
        self.forward_pairs(&pick(x, &left)?, &pick(x, &right)?, &same)
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists()
    }

    fn name(&self) -> &str {
        "contrastive loss"
    }
}

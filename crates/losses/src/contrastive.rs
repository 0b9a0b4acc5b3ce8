use crate::rows::{expect_like, expect_matrix, pick, squared_distances};
use crate::{Error, Loss, LossValue, Result};
use candle_core::Tensor;
use npair_types::Labels;

/// Contrastive loss: pairs of one class are pulled together, pairs of two classes pushed apart up to a margin.
///
/// ```text
/// L = 1/P  sum over pairs (a, b)   |a - b|^2                 if of one class
///                                  max(0, m - |a - b|)^2     if not
/// ```
/// The distance inside the hinge is not squared; the hinge is.
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
/// let loss = Contrastive::new(5.)?.of_pairs(&a, &b, &[true, false])?; // (25 + (5 - 2)^2) / 2
/// assert_eq!(loss.to_f64()?, 17.);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Contrastive {
    margin: f64,
}

impl Contrastive {
    /// With margin m > 0.
    ///
    /// # Errors
    /// [`Error::Setting`] if the margin is not a positive number.
    pub fn new(margin: f64) -> Result<Self> {
        if !margin.is_finite() || margin <= 0. {
            return Err(Error::Setting { what: "the margin", got: margin, range: "a finite number above 0" });
        }
        Ok(Self { margin })
    }

    /// The loss of P pairs of rows, of one class where `same` says so.
    ///
    /// # Errors
    /// [`Error::Shape`] if shapes or the number of flags do not fit.
    pub fn of_pairs(&self, left: &Tensor, right: &Tensor, same: &[bool]) -> Result<LossValue> {
        let (p, _) = expect_matrix("left", left)?;
        expect_like("right", right, "left", left)?;
        if same.len() != p {
            return Err(Error::Shape { what: "same", got: vec![same.len()], want: format!("({p}), a flag per pair") });
        }
        let same = Tensor::from_vec(same.iter().map(|&s| u8::from(s)).collect(), p, left.device())?;
        let squares = squared_distances(left, right)?;
        // The root's slope at 0 is infinite: such a pair takes a constant in its place.
        let apart = squares.gt(0f64)?;
        let safe = apart.where_cond(&squares, &squares.ones_like()?)?;
        let distances = apart.where_cond(&safe.sqrt()?, &squares.zeros_like()?)?;
        let push = (distances.neg()? + self.margin)?.relu()?.sqr()?;
        LossValue::hinged(&same.where_cond(&squares, &push)?)
    }
}

impl Loss for Contrastive {
    /// Over all B (B - 1) / 2 pairs of the batch.
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let (b, _) = expect_matrix("embeddings", embeddings)?;
        labels.expect_len(b)?;
        if b < 2 {
            return Err(Error::TooFew { loss: "contrastive loss", what: "examples", least: 2, got: b });
        }
        let (left, right): (Vec<_>, Vec<_>) = (0..b).flat_map(|i| (i + 1..b).map(move |j| (i, j))).unzip();
        let same: Vec<bool> = left.iter().zip(&right).map(|(&i, &j)| labels.same(i, j)).collect();
        self.of_pairs(&pick(embeddings, &left)?, &pick(embeddings, &right)?, &same)
    }
}

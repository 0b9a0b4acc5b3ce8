use crate::loss::loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::positives::Classes;
use crate::rows::{expect_matrix, unit_rows};
use crate::setting::{above_zero, finite};
use crate::{Error, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Element, Mask, Similarity, row};
use npair_types::{Labels, Measure};

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
/// In the embeddings' type, sums in f64. O(B^2) memory up to 4,096 rows (64 MiB of f32); larger batches are streamed in
/// O(B D).
///
/// # Errors
/// [`Error::TooFew`] for a single row.
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
    /// [`Error::Setting`] if one is out of range.
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

/// Rows of the largest batch whose matrix is kept whole, which takes two products in place of six.
const WHOLE: usize = 4096;

impl MultiSimilarity {
    fn of<T: Element>(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let (b, _) = expect_matrix("embeddings", embeddings)?;
        labels.expect_len(b)?;
        if b < 2 {
            return Err(Error::TooFew { loss: "multi-similarity loss", what: "examples", least: 2, got: b });
        }
        let value = if b > WHOLE { self.streamed(embeddings, labels)? } else { self.whole::<T>(embeddings, labels)? };
        Ok(LossValue::smooth(value, b))
    }

    fn whole<T: Element>(&self, embeddings: &Tensor, labels: &Labels) -> Result<Tensor> {
        let classes = Classes::new(labels);
        let matrix = PairMatrix::<T>::new(embeddings, Entry::Cosine)?;
        let (slopes, terms) = matrix.turn(|i, cosines, slope| self.row(classes.of(i), i, cosines, slope));
        let factor = 1. / labels.len() as f64;
        slopes.attach(embeddings, terms.iter().sum::<f64>() * factor, factor)
    }

    /// The term of row `i` of class `own`.
    fn row<T: Element>(&self, own: &[usize], i: usize, cosines: &[T], slope: &mut [T]) -> f64 {
        let Self { alpha, beta, base } = *self;
        slope.copy_from_slice(cosines);
        own.iter().for_each(|&p| slope[p] = T::LOWEST);
        // The 1 of log(1 + ...) is an entry at the base.
        let most = row::largest(slope);
        let at = if most.wide() > base { most } else { T::narrow(base) };
        let sum = row::exps(slope, T::narrow(beta), at);
        let (far, share) = soft_maximum(beta * (at.wide() - base).max(0.), sum);
        let share = T::narrow(share);
        slope.iter_mut().for_each(|s| *s *= share);
        let positives = || own.iter().copied().filter(|&p| p != i);
        let logit = |p: usize| -alpha * (cosines[p].wide() - base);
        let shift = positives().map(logit).fold(0., f64::max);
        let (near, share) = soft_maximum(shift, positives().map(|p| (logit(p) - shift).exp()).sum());
        positives().for_each(|p| slope[p] = T::narrow(-share * (logit(p) - shift).exp()));
        near / alpha + far / beta
    }

    /// Both halves by reductions that never keep the matrix: O(B D) memory for batches of any size.
    fn streamed(&self, embeddings: &Tensor, labels: &Labels) -> Result<Tensor> {
        let (rows, b) = (unit_rows(embeddings)?, labels.len());
        let half = |slope: f64, mask: &Mask| -> Result<Tensor> {
            let base = (Tensor::ones(b, rows.dtype(), rows.device())? * (slope * self.base))?;
            let terms = Similarity::new(&(&rows * slope)?, &rows, Measure::Dot)?.log1p_sum_exp_above(&base, mask)?;
            Ok((terms.mean_all()? / slope.abs())?)
        };
        Ok((half(-self.alpha, &Mask::positives(labels))? + half(self.beta, &Mask::other_class(labels, labels))?)?)
    }
}

/// `log(1 + exp(shift) sum)` and `1 / (exp(-shift) + sum)`, for a shift from 0 on.
fn soft_maximum(shift: f64, sum: f64) -> (f64, f64) {
    if shift == 0. {
        // Keeps the digits of a small sum.
        return (sum.ln_1p(), 1. / (1. + sum));
    }
    let all = (-shift).exp() + sum;
    (shift + all.ln(), 1. / all)
}

loss_of_element!(MultiSimilarity);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device, Var};
    use npair_testkit::inputs;

    #[test]
    fn the_kept_and_the_streamed_matrix_agree() {
        let loss = MultiSimilarity::new(3., 20., 0.4).unwrap();
        // Ragged classes, one of a single row; then one class alone, which has no negatives.
        for classes in [[3, 1, 1, 4, 4, 4, 9], [2; 7]] {
            let labels = Labels::new(classes).unwrap();
            for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 3e-6)] {
                let x = Var::from_tensor(&inputs::normal(3, 2., (7, 5), dtype).unwrap()).unwrap();
                let whole = match dtype {
                    DType::F32 => loss.whole::<f32>(&x, &labels).unwrap(),
                    _ => loss.whole::<f64>(&x, &labels).unwrap(),
                };
                let streamed = loss.streamed(&x, &labels).unwrap();
                let flat =
                    |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                let grad = |t: &Tensor| flat(t.backward().unwrap().get(&x).unwrap());
                let both = [(flat(&whole), flat(&streamed)), (grad(&whole), grad(&streamed))];
                for (got, want) in both.iter().flat_map(|(a, b)| a.iter().zip(b)) {
                    assert!((got - want).abs() <= tolerance, "{dtype:?} {classes:?}: {got} {want}");
                }
            }
        }
        let one = Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(crate::Loss::forward(&loss, &one, &Labels::new([1]).unwrap()).is_err());
    }
}

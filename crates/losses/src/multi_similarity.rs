use crate::away::is_away;
use crate::gallery::gallery_loss_of_element;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::rows::{expect_matrix, unit_rows};
use crate::setting::{above_zero, finite};
use crate::{Gallery, LossValue, Result, found};
use candle_core::{DType, Tensor};
use npair_similarity::{Element, Mask, Rows, Similarity, UnitRows, row};
use npair_types::Measure;

/// Multi-similarity loss: soft maxima over the positives and over the negatives of every row, each around one cosine.
///
/// ```text
/// L = 1/B  sum_i  1/a log(1 + sum_{p in P_i} exp(-a (c_ip - l)))  +  1/b log(1 + sum_{n in N_i} exp(b (c_in - l)))
/// ```
/// c the cosine, P_i the other rows of i's class, N_i those of other classes; or those of pairs that a miner chose
/// ([`of_pairs_in`](Self::of_pairs_in)), as in the paper.
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
/// In the embeddings' type, sums in f64. O(B^2) memory up to 4,096^2 entries (64 MiB of f32), those with a memory included;
/// larger matrices, and those of a device, are streamed in O(B D).
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

/// Entries of the largest matrix that is kept whole, which takes two products in place of six.
const WHOLE: usize = 4096 * 4096;

impl MultiSimilarity {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.expect_two("multi-similarity loss")?;
        let b = gallery.of_queries().len();
        // The kept matrix is one of plain numbers, on the host.
        let whole = !is_away(gallery.queries()) && b.saturating_mul(gallery.labels().len()) <= WHOLE;
        let value = if whole { self.whole::<T>(gallery)? } else { self.streamed(gallery)? };
        Ok(LossValue::smooth(value, b))
    }

    fn whole<T: Element>(&self, gallery: &Gallery) -> Result<Tensor> {
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Cosine)?;
        let (slopes, terms) = matrix.turn(|i, cosines, slope| self.row(classes.of(i), i, cosines, slope));
        let factor = 1. / terms.len() as f64;
        slopes.attach(gallery.queries(), terms.iter().sum::<f64>() * factor, factor)
    }

    /// The term of row `i` of class `own`.
    fn row<T: Element>(&self, own: &[usize], i: usize, cosines: &[T], slope: &mut [T]) -> f64 {
        let Self { alpha, beta, base } = *self;
        slope.copy_from_slice(cosines);
        own.iter().for_each(|&p| slope[p] = T::NEG_INFINITY);
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

    /// The loss of the pairs that a miner chose, `[anchor, other]`: of one class in `positives`, of two in `negatives`.
    ///
    /// # Shapes
    /// As of the loss; `terms` is B, `active` counts the rows that are the anchor of a pair.
    ///
    /// # Numerics
    /// O(P D) time and O(B D + P) memory for P pairs; cosines and sums in f64.
    ///
    /// # Errors
    /// A pair outside the batch, or an embedding that is not finite. No pair is no error: the loss is 0.
    pub fn of_pairs_in(
        &self,
        embeddings: &Tensor,
        positives: &[[usize; 2]],
        negatives: &[[usize; 2]],
    ) -> Result<LossValue> {
        match embeddings.dtype() {
            DType::F32 => self.listed::<f32>(embeddings, positives, negatives),
            DType::F64 => self.listed::<f64>(embeddings, positives, negatives),
            other => {
                let wide = self.listed::<f64>(&embeddings.to_dtype(DType::F64)?, positives, negatives)?;
                Ok(LossValue { value: wide.value.to_dtype(other)?, ..wide })
            }
        }
    }

    fn listed<T: Element>(&self, x: &Tensor, positives: &[[usize; 2]], negatives: &[[usize; 2]]) -> Result<LossValue> {
        let (b, width) = expect_matrix("embeddings", x)?;
        let pairs = || positives.iter().chain(negatives);
        if let Some((at, &[i, j])) = pairs().enumerate().find(|(_, pair)| pair.iter().any(|&i| i >= b)) {
            return Err(npair_types::Error::OutOfBatch { what: "pair", at, index: i.max(j), batch: b }.into());
        }
        let unit = UnitRows::new(Rows::new(&x.flatten_all()?.to_vec1::<T>()?, width)?);
        let (near, by_near) = self.half(unit.rows(), positives, -self.alpha);
        let (far, by_far) = self.half(unit.rows(), negatives, self.beta);
        let share = 1. / b as f64;
        let value = found::with_gradient(x, (near + far) * share, || {
            let mut grad = vec![0f64; b * width];
            for (&[i, j], slope) in pairs().zip(by_near.iter().chain(&by_far)) {
                for at in 0..width {
                    grad[i * width + at] += share * slope * unit.rows().row(j)[at].wide();
                    grad[j * width + at] += share * slope * unit.rows().row(i)[at].wide();
                }
            }
            let mut grad: Vec<T> = grad.into_iter().map(T::narrow).collect();
            unit.back(&mut grad);
            grad
        })?;
        let mut anchors = vec![false; b];
        pairs().for_each(|&[i, _]| anchors[i] = true);
        Ok(LossValue { value, terms: b, active: anchors.into_iter().filter(|&a| a).count() })
    }

    /// One half of listed pairs, summed over the rows, and its slopes by their cosines.
    fn half<T: Element>(&self, unit: Rows<T>, pairs: &[[usize; 2]], slope: f64) -> (f64, Vec<f64>) {
        let dot =
            |[i, j]: [usize; 2]| unit.row(i).iter().zip(unit.row(j)).map(|(p, q)| p.wide() * q.wide()).sum::<f64>();
        let logits: Vec<f64> = pairs.iter().map(|&pair| slope * (dot(pair) - self.base)).collect();
        let (mut shifts, mut sums) = (vec![0f64; unit.len()], vec![0f64; unit.len()]);
        pairs.iter().zip(&logits).for_each(|(&[i, _], &z)| shifts[i] = shifts[i].max(z));
        pairs.iter().zip(&logits).for_each(|(&[i, _], &z)| sums[i] += (z - shifts[i]).exp());
        let rows: Vec<(f64, f64)> = shifts.iter().zip(&sums).map(|(&shift, &sum)| soft_maximum(shift, sum)).collect();
        let by = |(&[i, _], &z): (&[usize; 2], &f64)| slope.signum() * rows[i].1 * (z - shifts[i]).exp();
        let slopes = pairs.iter().zip(&logits).map(by).collect();
        (rows.iter().map(|(term, _)| term).sum::<f64>() / slope.abs(), slopes)
    }

    /// Both halves by reductions that never keep the matrix: O(B D) memory for batches of any size.
    fn streamed(&self, gallery: &Gallery) -> Result<Tensor> {
        let unit = gallery.map(unit_rows)?;
        let (queries, rows) = (unit.queries(), unit.rows()?);
        let b = gallery.of_queries().len();
        let half = |slope: f64, mask: &Mask| -> Result<Tensor> {
            let base = (Tensor::ones(b, rows.dtype(), rows.device())? * (slope * self.base))?;
            let terms = Similarity::new(&(queries * slope)?, &rows, Measure::Dot)?.log1p_sum_exp_above(&base, mask)?;
            Ok((terms.mean_all()? / slope.abs())?)
        };
        Ok((half(-self.alpha, &gallery.is_positive())? + half(self.beta, &gallery.is_negative())?)?)
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

gallery_loss_of_element!(MultiSimilarity);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{Device, Var};
    use npair_testkit::{gradient, inputs};
    use npair_types::Labels;

    #[test]
    fn lists_of_all_pairs_are_the_loss_itself_and_some_have_gradients_too() {
        let loss = MultiSimilarity::new(3., 6., 0.4).unwrap();
        let labels = Labels::new([3, 1, 1, 4, 4, 4, 9]).unwrap();
        let x = inputs::normal(3, 2., (7, 5), DType::F64).unwrap();
        let all = || (0..7).flat_map(|i| (0..7).map(move |j| [i, j])).filter(|[i, j]| i != j);
        let (positives, negatives): (Vec<_>, Vec<_>) = all().partition(|&[i, j]| labels.same(i, j));
        let got = loss.of_pairs_in(&x, &positives, &negatives).unwrap();
        let want = crate::Loss::forward(&loss, &x, &labels).unwrap();
        assert!((got.to_f64().unwrap() - want.to_f64().unwrap()).abs() < 1e-14);
        let run = |x: &Tensor| {
            let some = loss.of_pairs_in(x, &positives[..2], &negatives[1..9]);
            some.map(|l| l.value).map_err(candle_core::Error::wrap)
        };
        gradient::check(std::slice::from_ref(&x), |t| run(&t[0])).unwrap();
        let none = loss.of_pairs_in(&Var::from_tensor(&x).unwrap(), &[], &[]).unwrap();
        assert_eq!((none.to_f64().unwrap(), none.terms, none.active), (0., 7, 0));
        assert!(none.value.backward().is_ok());
        assert!(loss.of_pairs_in(&x, &[[0, 7]], &[]).unwrap_err().to_string().contains("example 7"));
    }

    #[test]
    fn the_kept_and_the_streamed_matrix_agree() {
        let loss = MultiSimilarity::new(3., 20., 0.4).unwrap();
        // Ragged classes, one of a single row; then one class alone, which has no negatives.
        for classes in [[3, 1, 1, 4, 4, 4, 9], [2; 7]] {
            let labels = Labels::new(classes).unwrap();
            for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 3e-6)] {
                let x = Var::from_tensor(&inputs::normal(3, 2., (7, 5), dtype).unwrap()).unwrap();
                let memory = inputs::normal(4, 2., (5, 5), dtype).unwrap();
                let alone = Gallery::of(&x, &labels).unwrap();
                let with = alone.clone().with_memory(&memory, &Labels::new([4, 3, 8, 8, 2]).unwrap()).unwrap();
                for gallery in [alone, with] {
                    let whole = match dtype {
                        DType::F32 => loss.whole::<f32>(&gallery).unwrap(),
                        _ => loss.whole::<f64>(&gallery).unwrap(),
                    };
                    let streamed = loss.streamed(&gallery).unwrap();
                    let flat =
                        |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                    let grad = |t: &Tensor| flat(t.backward().unwrap().get(&x).unwrap());
                    let both = [(flat(&whole), flat(&streamed)), (grad(&whole), grad(&streamed))];
                    for (got, want) in both.iter().flat_map(|(a, b)| a.iter().zip(b)) {
                        assert!((got - want).abs() <= tolerance, "{dtype:?} {classes:?}: {got} {want}");
                    }
                }
            }
        }
        let one = Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(crate::Loss::forward(&loss, &one, &Labels::new([1]).unwrap()).is_err());
    }
}

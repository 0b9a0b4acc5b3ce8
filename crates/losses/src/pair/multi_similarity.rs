use crate::device::is_on_device;
use crate::row::{Lengths, of_products, of_rows};
use crate::rows::unit_rows;
use crate::setting::{above_zero, finite};
use crate::{Accepts, Batch, Entry, Loss, LossContext, LossSettings, LossValue, Needs, Result, Row, RowLoss, RowTerms};
use candle_core::Tensor;
use npair_similarity::{Element, Mask, Similarity, row};
use npair_types::{Measure, PairList};

/// Multi-similarity loss: soft maxima over the positives and over the negatives of every row, each around one cosine.
///
/// ```text
/// L = 1/B  sum_i  1/a log(1 + sum_{p in P_i} exp(-a (c_ip - l)))  +  1/b log(1 + sum_{n in N_i} exp(b (c_in - l)))
/// ```
/// c the cosine, P_i the other rows of i's class, N_i those of other classes; or those of pairs that a miner chose, as in the
/// paper: `active` counts the rows that are the anchor of one.
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. A row without positives (negatives) keeps its other half.
///
/// # Units
/// Cosine. Embeddings are normalized here.
///
/// # Gradient
/// Finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// In the embeddings' type, sums in f64. O(B^2) memory up to 4,096^2 entries (64 MiB of f32), those with a memory included;
/// larger matrices, and those of a device, are streamed in O(B D). Of P chosen pairs O(P D) time and O(B D + P) memory.
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
/// # use npair_losses::{Batch, Loss, MultiSimilarity};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[2f64, 0.], [3., 0.], [0., 1.]], &Device::Cpu)?;
/// let loss = MultiSimilarity::new(2., 4., 0.5)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
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

npair_types::settings! {
    /// Multi-similarity (Wang et al., 2019). The usual values are pytorch-metric-learning's; the paper's base is 1.
    pub struct MultiSimilaritySettings {
        /// Sharpness a of positives, above 0.
        alpha: f64 = 2.0,
        /// Sharpness b of negatives, above 0.
        beta: f64 = 50.0,
        /// Cosine l around which both turn.
        base: f64 = 0.5,
    }
}

impl Default for MultiSimilarity {
    /// With the usual [`MultiSimilaritySettings`].
    fn default() -> Self {
        let MultiSimilaritySettings { alpha, beta, base } = Default::default();
        Self { alpha, beta, base }
    }
}

impl LossSettings for MultiSimilaritySettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(MultiSimilarity::new(self.alpha, self.beta, self.base)?))
    }
}

/// Entries of the largest matrix that is kept whole, which takes two products in place of six.
const WHOLE: usize = 4096 * 4096;

impl MultiSimilarity {
    /// The loss of the pairs that a miner chose.
    fn listed(&self, batch: &Batch, list: &PairList) -> Result<LossValue> {
        let (b, pairs) = (batch.labels().len(), [list.positives(), list.negatives()].concat());
        let share = 1. / b as f64;
        let value = of_products(batch, Lengths::One, &pairs, |cosines| {
            let (of_near, of_far) = cosines.split_at(list.positives().len());
            let (near, mut gradient) = self.half(b, list.positives(), of_near, -self.alpha);
            let (far, by_far) = self.half(b, list.negatives(), of_far, self.beta);
            gradient.extend(by_far);
            gradient.iter_mut().for_each(|by| *by *= share);
            ((near + far) * share, gradient)
        })?;
        let mut anchors = vec![false; b];
        pairs.iter().for_each(|&[i, _]| anchors[i] = true);
        Ok(LossValue::new(value, b, anchors.into_iter().filter(|&a| a).count()))
    }

    /// One half of listed pairs, summed over the rows, and its gradient by their cosines.
    fn half(&self, b: usize, pairs: &[[usize; 2]], cosines: &[f64], slope: f64) -> (f64, Vec<f64>) {
        let logits: Vec<f64> = cosines.iter().map(|cosine| slope * (cosine - self.base)).collect();
        let (mut shifts, mut sums) = (vec![0f64; b], vec![0f64; b]);
        pairs.iter().zip(&logits).for_each(|(&[i, _], &z)| shifts[i] = shifts[i].max(z));
        pairs.iter().zip(&logits).for_each(|(&[i, _], &z)| sums[i] += (z - shifts[i]).exp());
        let rows: Vec<(f64, f64)> = shifts.iter().zip(&sums).map(|(&shift, &sum)| soft_maximum(shift, sum)).collect();
        let by = |(&[i, _], &z): (&[usize; 2], &f64)| slope.signum() * rows[i].1 * (z - shifts[i]).exp();
        let gradient = pairs.iter().zip(&logits).map(by).collect();
        (rows.iter().map(|(term, _)| term).sum::<f64>() / slope.abs(), gradient)
    }

    /// Both halves by reductions that never keep the matrix: O(B D) memory for batches of any size.
    fn streamed(&self, batch: &Batch) -> Result<LossValue> {
        let unit = batch.map(unit_rows)?;
        let (queries, rows) = (unit.embeddings(), unit.all_rows()?);
        let b = batch.labels().len();
        let half = |slope: f64, mask: &Mask| -> Result<Tensor> {
            let base = (Tensor::ones(b, rows.dtype(), rows.device())? * (slope * self.base))?;
            let terms = Similarity::new(&(queries * slope)?, &rows, Measure::Dot)?.log1p_sum_exp_above(&base, mask)?;
            Ok((terms.mean_all()? / slope.abs())?)
        };
        let value = (half(-self.alpha, &batch.positives())? + half(self.beta, &batch.negatives())?)?;
        Ok(LossValue::smooth(value, b))
    }
}

impl Loss for MultiSimilarity {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        if let Some(list) = batch.listed() {
            return self.listed(batch, &list);
        }
        batch.expect_two(self.name())?;
        // The kept matrix is one of plain numbers, on the host.
        let entries = batch.labels().len().saturating_mul(batch.all_labels().len());
        match !is_on_device(batch.embeddings()) && entries <= WHOLE {
            true => of_rows(&Whole(*self), batch),
            false => self.streamed(batch),
        }
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        "multi-similarity loss"
    }
}

/// The loss on the kept matrix.
struct Whole(MultiSimilarity);

impl RowLoss for Whole {
    const NAME: &'static str = "multi-similarity loss";
    const ENTRY: Entry = Entry::Cosine;
    const NEEDS: Needs = Needs::Either;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let MultiSimilarity { alpha, beta, base } = self.0;
        let cosines = row.entries();
        gradient.copy_from_slice(cosines);
        row.keep_negatives(gradient, T::NEG_INFINITY);
        // The 1 of log(1 + ...) is an entry at the base.
        let most = row::largest(gradient);
        let at = if most.wide() > base { most } else { T::narrow(base) };
        let sum = row::exps(gradient, T::narrow(beta), at);
        let (far, share) = soft_maximum(beta * (at.wide() - base).max(0.), sum);
        let share = T::narrow(share);
        gradient.iter_mut().for_each(|by| *by *= share);
        let logit = |p: usize| -alpha * (cosines[p].wide() - base);
        let shift = row.positives().map(logit).fold(0., f64::max);
        let (near, share) = soft_maximum(shift, row.positives().map(|p| (logit(p) - shift).exp()).sum());
        row.positives().for_each(|p| gradient[p] = T::narrow(-share * (logit(p) - shift).exp()));
        RowTerms::one(near / alpha + far / beta)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device, Var};
    use npair_testkit::{gradient, inputs};
    use npair_types::Labels;

    #[test]
    fn lists_of_all_pairs_are_the_loss_itself_and_some_have_gradients_too() {
        let loss = MultiSimilarity::new(3., 6., 0.4).unwrap();
        let labels = Labels::new([3, 1, 1, 4, 4, 4, 9]).unwrap();
        let x = inputs::normal(3, 2., (7, 5), DType::F64).unwrap();
        let all = || (0..7).flat_map(|i| (0..7).map(move |j| [i, j])).filter(|[i, j]| i != j);
        let (positives, negatives): (Vec<_>, Vec<_>) = all().partition(|&[i, j]| labels.same(i, j));
        let listed = |x: &Tensor, positives: &[[usize; 2]], negatives: &[[usize; 2]]| {
            let list = PairList::new(positives.to_vec(), negatives.to_vec(), &labels).unwrap();
            loss.listed(&Batch::new(x, &labels).unwrap(), &list)
        };
        let got = listed(&x, &positives, &negatives).unwrap();
        let want = loss.forward(&Batch::new(&x, &labels).unwrap()).unwrap();
        assert!((got.to_f64().unwrap() - want.to_f64().unwrap()).abs() < 1e-14);
        let run = |x: &Tensor| {
            let some = listed(x, &positives[..2], &negatives[1..9]);
            some.map(|l| l.value).map_err(candle_core::Error::wrap)
        };
        gradient::check(std::slice::from_ref(&x), |t| run(&t[0])).unwrap();
        let none = listed(&Var::from_tensor(&x).unwrap(), &[], &[]).unwrap();
        assert_eq!((none.to_f64().unwrap(), none.terms, none.active), (0., 7, 0));
        assert!(none.value.backward().is_ok());
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
                let alone = Batch::new(&x, &labels).unwrap();
                let with = alone.clone().with_reference(&memory, &Labels::new([4, 3, 8, 8, 2]).unwrap()).unwrap();
                for batch in [alone, with] {
                    let whole = of_rows(&Whole(loss), &batch).unwrap().value;
                    let streamed = loss.streamed(&batch).unwrap().value;
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
        assert!(loss.forward(&Batch::new(&one, &Labels::new([1]).unwrap()).unwrap()).is_err());
    }
}

use crate::loss::loss_of_element;
use crate::positives::{Classes, with_both};
use crate::setting::from_zero;
use crate::{LossValue, Reducer, Result, found};
use candle_core::Tensor;
use npair_similarity::{Element, Rows, UnitRows, row};
use npair_types::{Labels, Measure};

/// Batch-hard triplet loss: of every anchor the farthest positive and the nearest negative of the batch.
///
/// ```text
/// L = R over a of  h(max_{p in P_a} |x_a - x_p|  -  min_{n in N_a} |x_a - x_n|)
/// h(z) = max(0, z + m),  or softly  log(1 + exp(z));   R the mean over the anchors, or over the terms above 0
/// ```
/// P_a are the other rows of a's class, N_a those of other classes. Distances are not squared.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` counts the rows with a positive, `active` their terms above 0;
/// rows alone in their class are negatives only.
///
/// # Units
/// Distance. Embeddings are taken as they are, as in the paper, unless [`of_unit_rows`](Self::of_unit_rows) says otherwise.
///
/// # Gradient
/// To the rows of the chosen triplets; 0 between equal rows, which have no direction. In O(B D) memory: the matrix is
/// streamed, no list of triplets is kept.
///
/// # Numerics
/// Rows are chosen by squared distances of the embeddings' type, the first of equals; the chosen distances are taken again
/// from differences, in f64.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if no row has a positive or there is only one class.
///
/// # Source
/// Hermans et al., 2017 (arXiv 1703.07737), equation 5, and section 2 for the soft margin.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Loss, TripletBatchHard};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[0f64], [1.], [3.], [3.5], [7.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 1, 2, 2])?;
/// // Farthest positives 3, 2, 3, 3.5, 3.5; nearest negatives 3.5, 2.5, 0.5, 0.5, 4.
/// let loss = TripletBatchHard::new(0.25)?.forward(&x, &labels)?;
/// assert!((loss.to_f64()? - (2.75 + 3.25) / 5.).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (5, 2));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TripletBatchHard {
    margin: Margin,
    reducer: Reducer,
    lengths: Lengths,
}

#[derive(Debug, Clone, Copy)]
enum Margin {
    Hard(f64),
    Soft,
}

#[derive(Debug, Clone, Copy)]
enum Lengths {
    Own,
    One,
}

impl TripletBatchHard {
    /// With margin m >= 0, as a mean over all anchors.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the margin is negative or not finite.
    pub fn new(margin: f64) -> Result<Self> {
        let margin = Margin::Hard(from_zero("the margin", margin)?);
        Ok(Self { margin, ..Self::soft() })
    }

    /// With the soft margin, which the paper finds the better one: it goes on pulling where a hinge is satisfied.
    pub fn soft() -> Self {
        Self { margin: Margin::Soft, reducer: Reducer::Mean, lengths: Lengths::Own }
    }

    /// With another reducer.
    pub fn with_reducer(self, reducer: Reducer) -> Self {
        Self { reducer, ..self }
    }

    /// Of embeddings normalised here.
    pub fn of_unit_rows(self) -> Self {
        Self { lengths: Lengths::One, ..self }
    }

    fn of<T: Element>(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        with_both("batch-hard triplet loss", embeddings, labels)?;
        let values = embeddings.flatten_all()?.to_vec1::<T>()?;
        let rows = Rows::new(&values, embeddings.dim(1)?)?;
        match self.lengths {
            Lengths::Own => self.of_rows(embeddings, rows, labels, |_| ()),
            Lengths::One => {
                let unit = UnitRows::new(rows);
                self.of_rows(embeddings, unit.rows(), labels, |grad| unit.back(grad))
            }
        }
    }

    /// The loss of plain rows; `back` leads a gradient by them to the embeddings.
    fn of_rows<T: Element>(
        &self,
        embeddings: &Tensor,
        rows: Rows<T>,
        labels: &Labels,
        back: impl FnOnce(&mut [T]),
    ) -> Result<LossValue> {
        let chosen = hardest(rows, labels)?;
        let (mut sum, mut active) = (0., 0);
        // Pairs of rows, and the loss's slope by their distance over that distance.
        let mut pulls = Vec::with_capacity(2 * chosen.len());
        for &[a, p, n] in &chosen {
            let (far, near) = (distance(rows.row(a), rows.row(p)), distance(rows.row(a), rows.row(n)));
            let (term, slope) = self.term(far - near);
            sum += term;
            active += usize::from(term > 0.);
            let pull = |slope: f64, distance: f64| if distance > 0. { slope / distance } else { 0. };
            if slope > 0. {
                pulls.extend([(a, p, pull(slope, far)), (a, n, -pull(slope, near))]);
            }
        }
        let factor = self.reducer.factor(chosen.len(), active);
        let value = found::with_gradient(embeddings, sum * factor, || {
            let mut grad = gradient(rows, &pulls, factor);
            back(&mut grad);
            grad
        })?;
        Ok(LossValue { value, terms: chosen.len(), active })
    }

    /// The term of a difference of distances, and its slope.
    fn term(&self, above: f64) -> (f64, f64) {
        match self.margin {
            Margin::Hard(margin) if above + margin > 0. => (above + margin, 1.),
            Margin::Hard(_) => (0., 0.),
            Margin::Soft => (above.max(0.) + (-above.abs()).exp().ln_1p(), crate::pair_matrix::sigmoid(above)),
        }
    }
}

/// `[anchor, farthest positive, nearest negative]` of every row that has a positive; there are two classes.
fn hardest<T: Element>(rows: Rows<T>, labels: &Labels) -> Result<Vec<[usize; 3]>> {
    let classes = Classes::new(labels);
    let scaled = scaled(rows);
    let rows = scaled.as_deref().map_or(rows, |values| Rows::trusted(values, rows.width()));
    let found = rows.map_lines(rows, Measure::SquaredEuclidean, |a, closeness| {
        let own = classes.of(a);
        let mut positives = own.iter().copied().filter(|&p| p != a);
        let first = positives.next()?;
        let p = positives.fold(first, |far, p| if closeness[p] < closeness[far] { p } else { far });
        own.iter().for_each(|&p| closeness[p] = T::NEG_INFINITY);
        let n = row::place_of(closeness, row::largest(closeness))?;
        Some([a, p, n])
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// The rows with their largest entry at 1 if their squares might overflow or vanish; their order by distance is the same.
fn scaled<T: Element>(rows: Rows<T>) -> Option<Vec<T>> {
    const PLAIN: std::ops::RangeInclusive<f64> = 1e-12..=1e12;
    let largest = rows.as_slice().iter().fold(0f64, |most, v| most.max(v.wide().abs()));
    let scale = |v: &T| T::narrow(v.wide() / largest);
    (largest > 0. && !PLAIN.contains(&largest)).then(|| rows.as_slice().iter().map(scale).collect())
}

fn distance<T: Element>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(p, q)| (p.wide() - q.wide()).powi(2)).sum::<f64>().sqrt()
}

/// `factor` times the gradient of `sum over pulls of strength |x_i - x_j|^2 / 2`.
fn gradient<T: Element>(rows: Rows<T>, pulls: &[(usize, usize, f64)], factor: f64) -> Vec<T> {
    let width = rows.width();
    let mut grad = vec![0f64; rows.as_slice().len()];
    for &(i, j, strength) in pulls {
        let strength = strength * factor;
        for (at, (p, q)) in rows.row(i).iter().zip(rows.row(j)).enumerate() {
            let step = strength * (p.wide() - q.wide());
            grad[i * width + at] += step;
            grad[j * width + at] -= step;
        }
    }
    grad.into_iter().map(T::narrow).collect()
}

loss_of_element!(TripletBatchHard);

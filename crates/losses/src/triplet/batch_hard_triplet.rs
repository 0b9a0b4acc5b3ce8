use crate::row::{Classes, sigmoid, softplus};
use crate::setting::from_zero;
use crate::{
    Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Reducer, Result, RowTerms, precomputed_gradient,
};
use candle_core::DType;
use npair_similarity::{Element, Rows, UnitRows, row};
use npair_types::Measure;

/// Batch-hard triplet loss: of every anchor the farthest positive and the nearest negative of the batch.
///
/// ```text
/// L = R over a of  h(max_{p in P_a} |x_a - x_p|  -  min_{n in N_a} |x_a - x_n|)
/// h(z) = max(0, z + m),  or softly  log(1 + exp(z));   R the reducer, of one term per anchor
/// ```
/// P_a are the other rows of a's class, N_a those of other classes. Distances are not squared.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` counts the rows with a positive, `active` their terms above 0;
/// rows alone in their class are negatives only.
///
/// # Units
/// Distance. Embeddings are taken as they are, as in the paper, unless [`with_unit_rows`](Self::with_unit_rows) says otherwise.
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
/// # use npair_losses::{Batch, BatchHardTriplet, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[0f64], [1.], [3.], [3.5], [7.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 1, 2, 2])?;
/// // Farthest positives 3, 2, 3, 3.5, 3.5; nearest negatives 3.5, 2.5, 0.5, 0.5, 4.
/// let loss = BatchHardTriplet::new(0.25)?.forward(&Batch::new(&x, &labels)?)?;
/// assert!((loss.to_f64()? - (2.75 + 3.25) / 5.).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (5, 2));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BatchHardTriplet {
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

npair_types::settings! {
    /// Farthest positive and nearest negative of every anchor, with a margin (Hermans et al., 2017).
    pub struct BatchHardTripletSettings {
        /// Margin m of distances, from 0.
        margin: f64 = 0.2,
    }
}

impl LossSettings for BatchHardTripletSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(BatchHardTriplet::new(self.margin)?))
    }
}

npair_types::settings! {
    /// Batch-hard triplet loss with the soft margin.
    pub struct BatchHardTripletSoftSettings {}
}

impl LossSettings for BatchHardTripletSoftSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(BatchHardTriplet::soft()))
    }
}

impl BatchHardTriplet {
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

    /// Of embeddings normalized here.
    pub fn with_unit_rows(self) -> Self {
        Self { lengths: Lengths::One, ..self }
    }

    fn in_type<T: Element>(&self, batch: &Batch) -> Result<LossValue> {
        batch.with_both(self.name())?;
        let plain = batch.plain::<T>()?;
        match self.lengths {
            Lengths::Own => self.of_hardest(batch, plain.rows(), |_| ()),
            Lengths::One => {
                let unit = UnitRows::new(plain.rows());
                self.of_hardest(batch, unit.rows(), |gradient| unit.back(gradient))
            }
        }
    }

    /// The loss of all plain rows; `vjp` leads a gradient by those of the batch to the embeddings.
    fn of_hardest<T: Element>(&self, batch: &Batch, rows: Rows<T>, vjp: impl FnOnce(&mut [T])) -> Result<LossValue> {
        let queries = batch.labels().len();
        let chosen = hardest(rows, queries, &batch.classes())?;
        let mut terms = vec![RowTerms::default(); queries];
        // Pairs of rows, and the loss's slope by their distance over that distance.
        let mut pulls = Vec::with_capacity(2 * chosen.len());
        for &[a, p, n] in &chosen {
            let (far, near) = (distance(rows.row(a), rows.row(p)), distance(rows.row(a), rows.row(n)));
            let (term, slope) = self.term(far - near);
            let kept = self.reducer.keeps(term);
            terms[a] = RowTerms { sum: if kept { term } else { 0. }, terms: 1, active: usize::from(kept) };
            let pull = |slope: f64, distance: f64| if distance > 0. { slope / distance } else { 0. };
            if kept {
                pulls.extend([(a, p, pull(slope, far)), (a, n, -pull(slope, near))]);
            }
        }
        let (value, factors) = self.reducer.reduce(&terms, batch.labels());
        let value = precomputed_gradient(batch.embeddings(), value, || {
            let mut gradient = by_rows(rows, queries, &pulls, &factors);
            vjp(&mut gradient);
            gradient
        })?;
        let RowTerms { terms, active, .. } = RowTerms::total(&terms);
        Ok(LossValue::new(value, terms, active))
    }

    /// The term of a difference of distances, and its slope.
    fn term(&self, above: f64) -> (f64, f64) {
        match self.margin {
            Margin::Hard(margin) if above + margin > 0. => (above + margin, 1.),
            Margin::Hard(_) => (0., 0.),
            Margin::Soft => (softplus(above), sigmoid(above)),
        }
    }
}

/// `[anchor, farthest positive, nearest negative]` of every one of the first `queries` rows that has a positive; there are two
/// classes.
fn hardest<T: Element>(rows: Rows<T>, queries: usize, classes: &Classes) -> Result<Vec<[usize; 3]>> {
    let scaled = scaled(rows);
    let rows = scaled.as_deref().map_or(rows, |values| Rows::trusted(values, rows.width()));
    let of_queries = Rows::trusted(&rows.as_slice()[..queries * rows.width()], rows.width());
    let chosen = of_queries.map_lines(rows, Measure::SquaredEuclidean, |a, similarity| {
        let own = classes.of(a);
        let mut positives = classes.positives(a);
        let first = positives.next()?;
        let p = positives.fold(first, |far, p| if similarity[p] < similarity[far] { p } else { far });
        own.iter().for_each(|&p| similarity[p] = T::NEG_INFINITY);
        let n = row::place_of(similarity, row::largest(similarity))?;
        Some([a, p, n])
    })?;
    Ok(chosen.into_iter().flatten().collect())
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

/// The gradient of `sum over pulls (i, j) of factor_i strength |x_i - x_j|^2 / 2` by the first `queries` rows.
fn by_rows<T: Element>(rows: Rows<T>, queries: usize, pulls: &[(usize, usize, f64)], factors: &[f64]) -> Vec<T> {
    let width = rows.width();
    // A pull on a row of the reference is worked out too and left out at the end.
    let mut grad = vec![0f64; rows.as_slice().len()];
    for &(i, j, strength) in pulls {
        let strength = strength * factors[i];
        for (at, (p, q)) in rows.row(i).iter().zip(rows.row(j)).enumerate() {
            let step = strength * (p.wide() - q.wide());
            grad[i * width + at] += step;
            grad[j * width + at] -= step;
        }
    }
    grad.into_iter().take(queries * width).map(T::narrow).collect()
}

impl Loss for BatchHardTriplet {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        match batch.embeddings().dtype() {
            DType::F64 => self.in_type::<f64>(batch),
            _ => self.in_type::<f32>(batch),
        }
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels().with_reference()
    }

    fn name(&self) -> &str {
        "batch-hard triplet loss"
    }
}

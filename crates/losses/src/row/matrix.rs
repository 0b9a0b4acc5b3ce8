use crate::{Batch, Result, precomputed_gradient};
use candle_core::Tensor;
use npair_similarity::{Cosines, Element};

/// The entries of the matrix of a batch, of rows of length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The cosine c.
    Cosine,
    /// The distance `sqrt(2 - 2 c)`.
    Distance,
    /// The squared distance `2 - 2 c`.
    SquaredDistance,
}

/// The matrix (B, G) of a batch with all rows that it meets, as plain numbers of the embeddings' type, for losses that need every
/// entry several times: the loss looks at every row ([`map`](Self::map)), maps entries to its gradient by them
/// ([`map_to_gradient`](Self::map_to_gradient)), and [`RowGradients::attach`] puts both into the graph. So there are B G numbers
/// and no temporary of a larger shape, whatever the loss does; rows run in parallel, and sums over rows are taken in their order.
/// From a device the rows are read, once; the gradient goes back there.
pub(crate) struct RowMatrix<T> {
    entries: Cosines<T>,
    entry: Entry,
}

impl<T: Element> RowMatrix<T> {
    /// Of rows normalized here; a zero row is at cosine 0 from all.
    pub(crate) fn new(batch: &Batch, entry: Entry) -> Result<Self> {
        let values = batch.plain::<T>()?;
        let mut entries = Cosines::of_first(batch.labels().len(), values.rows());
        if entry != Entry::Cosine {
            entries.to_squared_distances();
        }
        if entry == Entry::Distance {
            entries.replace(|_, line| line.iter_mut().for_each(|v| *v = v.root()));
        }
        Ok(Self { entries, entry })
    }

    /// The results of `f` for every row, in their order.
    pub(crate) fn map<R: Send>(&self, f: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
        self.entries.map(f)
    }

    /// The entries of row `i`.
    pub(crate) fn line(&self, i: usize) -> &[T] {
        self.entries.line(i)
    }

    /// Every row's entries become the gradient by them: `f` is given the entries and as many zeros to write its gradient to.
    pub(crate) fn map_to_gradient<R: Send>(
        mut self,
        f: impl Fn(usize, &[T], &mut [T]) -> R + Sync,
    ) -> (RowGradients<T>, Vec<R>) {
        let entry = self.entry;
        let results = self.entries.turn(|i, entries, gradient| {
            let result = f(i, entries, gradient);
            by_cosines(entry, entries, gradient);
            result
        });
        (RowGradients(self.entries), results)
    }
}

/// A loss's gradient by the cosines.
pub(crate) struct RowGradients<T>(Cosines<T>);

impl<T: Element> RowGradients<T> {
    /// Multiplies the gradient of every row by a factor of its own, then attaches them.
    pub(crate) fn attach_by_row(mut self, embeddings: &Tensor, value: f64, factors: &[f64]) -> Result<Tensor> {
        // Most reducers have one factor for all rows: no pass over the matrix then.
        let first = factors.first().copied().unwrap_or(1.);
        if factors.iter().all(|&factor| factor == first) {
            return self.attach(embeddings, value, first);
        }
        self.0.replace(|i, gradient| {
            let factor = T::narrow(factors[i]);
            gradient.iter_mut().for_each(|by| *by *= factor);
        });
        self.attach(embeddings, value, 1.)
    }

    /// The scalar of this value whose gradient by the cosines is `factor` times this.
    pub(crate) fn attach(self, embeddings: &Tensor, value: f64, factor: f64) -> Result<Tensor> {
        precomputed_gradient(embeddings, value, || self.0.gradient(factor))
    }
}

/// The gradient by the entries becomes that by the cosines.
fn by_cosines<T: Element>(entry: Entry, entries: &[T], gradient: &mut [T]) {
    let both = gradient.iter_mut().zip(entries);
    match entry {
        Entry::Cosine => {}
        // Equal rows have no direction to be moved in; rows nearer than rounding have none that is known.
        Entry::Distance => {
            let least = T::narrow(16. * T::EPSILON);
            both.for_each(|(by, &v)| *by = if v > least { T::ZERO - *by / v } else { T::ZERO });
        }
        Entry::SquaredDistance => {
            let factor = T::narrow(-2.);
            both.for_each(|(by, _)| *by *= factor);
        }
    }
}

/// `log sum exp` of plain numbers; minus infinity of none.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let shift = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if shift == f64::NEG_INFINITY { shift } else { shift + values.map(|v| (v - shift).exp()).sum::<f64>().ln() }
}

/// `1 / (1 + exp(-x))`, without overflow.
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x >= 0. { 1. / (1. + (-x).exp()) } else { x.exp() / (1. + x.exp()) }
}

/// `log(1 + exp(z))`, without overflow.
pub(crate) fn softplus(z: f64) -> f64 {
    z.max(0.) + (-z.abs()).exp().ln_1p()
}

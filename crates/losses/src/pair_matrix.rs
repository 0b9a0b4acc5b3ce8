use crate::{Gallery, Result, found};
use candle_core::Tensor;
use npair_similarity::{Cosines, Element};

/// What an entry of the matrix is, of rows of length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The cosine c.
    Cosine,
    /// The distance `sqrt(2 - 2 c)`.
    Distance,
    /// The squared distance `2 - 2 c`.
    SquaredDistance,
}

/// The matrix (B, G) of a batch against its gallery, itself and a memory, as plain numbers of the embeddings' type, for losses
/// that need every entry several times: the loss looks at every row ([`map`](Self::map)), turns entries into its slopes by
/// them ([`turn`](Self::turn)), and [`Slopes::attach`] puts both into the graph. So there are B G numbers and no temporary of a
/// larger shape, whatever the loss does; rows run in parallel, and sums over rows are taken in their order. From a device the
/// rows are read, once; the gradient goes back there.
pub(crate) struct PairMatrix<T> {
    entries: Cosines<T>,
    entry: Entry,
}

impl<T: Element> PairMatrix<T> {
    /// Of rows normalised here; a zero row is at cosine 0 from all.
    pub(crate) fn new(gallery: &Gallery, entry: Entry) -> Result<Self> {
        let values = gallery.plain::<T>()?;
        let mut entries = Cosines::of_first(gallery.of_queries().len(), values.rows());
        if entry != Entry::Cosine {
            entries.to_squared_distances();
        }
        if entry == Entry::Distance {
            entries.replace(|_, line| line.iter_mut().for_each(|v| *v = v.root()));
        }
        Ok(Self { entries, entry })
    }

    /// What `f` makes of every row, in their order.
    pub(crate) fn map<R: Send>(&self, f: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
        self.entries.map(f)
    }

    /// The entries of row `i`.
    pub(crate) fn row(&self, i: usize) -> &[T] {
        self.entries.line(i)
    }

    /// Every row's entries become slopes by them: `f` is given the entries and as many zeros to write its slopes to.
    pub(crate) fn turn<R: Send>(mut self, f: impl Fn(usize, &[T], &mut [T]) -> R + Sync) -> (Slopes<T>, Vec<R>) {
        let entry = self.entry;
        let results = self.entries.turn(|i, entries, slopes| {
            let result = f(i, entries, slopes);
            by_cosines(entry, entries, slopes);
            result
        });
        (Slopes(self.entries), results)
    }
}

/// A loss's slopes by the cosines.
pub(crate) struct Slopes<T>(Cosines<T>);

impl<T: Element> Slopes<T> {
    /// Multiplies the slopes of every row by a factor of its own, then attaches them.
    pub(crate) fn attach_by_row(mut self, embeddings: &Tensor, value: f64, factors: &[f64]) -> Result<Tensor> {
        // Most reducers have one factor for all rows: no pass over the matrix then.
        let first = factors.first().copied().unwrap_or(1.);
        if factors.iter().all(|&factor| factor == first) {
            return self.attach(embeddings, value, first);
        }
        self.0.replace(|i, slopes| {
            let factor = T::narrow(factors[i]);
            slopes.iter_mut().for_each(|slope| *slope *= factor);
        });
        self.attach(embeddings, value, 1.)
    }

    /// The scalar of this value whose gradient by the cosines is `factor` times these slopes.
    pub(crate) fn attach(self, embeddings: &Tensor, value: f64, factor: f64) -> Result<Tensor> {
        found::with_gradient(embeddings, value, || self.0.gradient(factor))
    }
}

/// Slopes by the entries become those by the cosines.
fn by_cosines<T: Element>(entry: Entry, entries: &[T], slopes: &mut [T]) {
    let both = slopes.iter_mut().zip(entries);
    match entry {
        Entry::Cosine => {}
        // Equal rows have no direction to be moved in; rows nearer than rounding have none that is known.
        Entry::Distance => {
            let least = T::narrow(16. * T::EPSILON);
            both.for_each(|(slope, &v)| *slope = if v > least { T::ZERO - *slope / v } else { T::ZERO });
        }
        Entry::SquaredDistance => {
            let factor = T::narrow(-2.);
            both.for_each(|(slope, _)| *slope *= factor);
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

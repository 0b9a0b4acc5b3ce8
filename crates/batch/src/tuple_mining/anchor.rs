//! One anchor's view of its batch, and how miners go over all of them.

use crate::{Error, Result};
use candle_core::{DType, Tensor};
use npair_similarity::{Element, Rows, row};
use npair_types::{Labels, Measure};
use std::cmp::Ordering;

/// A row of the batch, its similarity to all rows, and the rows of its class.
pub(crate) struct Anchor<'a, T> {
    pub(crate) row: usize,
    pub(crate) similarity: &'a [T],
    own: &'a [usize],
}

impl<T: Element> Anchor<'_, T> {
    /// The other rows of the class, ascending.
    pub(crate) fn positives(&self) -> impl Iterator<Item = usize> + Clone {
        self.own.iter().copied().filter(|&p| p != self.row)
    }

    /// The rows of other classes, ascending.
    pub(crate) fn negatives(&self) -> impl Iterator<Item = usize> + Clone {
        // The class's rows cut the others into ranges.
        let starts = std::iter::once(0).chain(self.own.iter().map(|&p| p + 1));
        let ends = self.own.iter().copied().chain([self.similarity.len()]);
        starts.zip(ends).flat_map(|(start, end)| start..end)
    }

    /// The nearest of some rows, the first of equals.
    pub(crate) fn nearest(&self, rows: impl Iterator<Item = usize>) -> Option<usize> {
        rows.reduce(|best, j| if self.similarity[j] > self.similarity[best] { j } else { best })
    }

    /// The farthest of some rows, the first of equals.
    pub(crate) fn farthest(&self, rows: impl Iterator<Item = usize>) -> Option<usize> {
        rows.reduce(|best, j| if self.similarity[j] < self.similarity[best] { j } else { best })
    }

    /// The nearest row of another class: a loop for the machine's vectors, on a copy.
    pub(crate) fn nearest_negative(&self, scratch: &mut Vec<T>) -> Option<usize> {
        scratch.clear();
        scratch.extend_from_slice(self.similarity);
        self.own.iter().for_each(|&p| scratch[p] = T::NEG_INFINITY);
        let most = row::largest(scratch);
        if most == T::NEG_INFINITY { None } else { row::place_of(scratch, most) }
    }

    /// How much nearer `n` is than `p`: above 0 the triplet is hard.
    pub(crate) fn hardness(&self, p: usize, n: usize) -> f64 {
        self.similarity[n].wide() - self.similarity[p].wide()
    }
}

/// A miner that looks at one anchor at a time, in either number type.
pub(crate) trait PerAnchor: Sync {
    type Chosen: Send;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen;
}

/// The choice of every anchor; rows run in parallel and come back in order. Beside that, memory for 64 rows of the matrix per
/// thread.
pub(crate) fn per_anchor<M: PerAnchor>(
    miner: &M,
    embeddings: &Tensor,
    labels: &Labels,
    measure: Measure,
) -> Result<Vec<M::Chosen>> {
    match embeddings.dtype() {
        DType::F64 => over::<f64, M>(miner, embeddings, labels, measure),
        _ => over::<f32, M>(miner, &to_f32(embeddings)?, labels, measure),
    }
}

fn over<T: Element, M: PerAnchor>(
    miner: &M,
    embeddings: &Tensor,
    labels: &Labels,
    measure: Measure,
) -> Result<Vec<M::Chosen>> {
    let (values, width) = checked::<T>(embeddings, labels)?;
    let rows = Rows::new(&values, width)?;
    let (places, members) = members(labels);
    let chosen = rows.map_lines(rows, measure, |i, similarity| {
        let finite = similarity.iter().fold(true, |fine, v| fine & v.wide().is_finite());
        finite.then(|| miner.of(&Anchor { row: i, similarity, own: &members[places[i]] }))
    })?;
    let overflow = |row| npair_similarity::Error::Overflow { row, dtype: T::NAME };
    chosen.into_iter().enumerate().map(|(row, chosen)| Ok(chosen.ok_or(overflow(row))?)).collect()
}

/// Embeddings in f32; whole numbers are refused.
pub(crate) fn to_f32(embeddings: &Tensor) -> Result<Tensor> {
    match embeddings.dtype() {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => Ok(embeddings.to_dtype(DType::F32)?),
        got => Err(Error::DType { got }),
    }
}

/// The values of embeddings (B, D) and D; as many labels as rows.
pub(crate) fn checked<T: Element>(embeddings: &Tensor, labels: &Labels) -> Result<(Vec<T>, usize)> {
    match embeddings.dims() {
        &[rows, width] if width > 0 => {
            labels.expect_len(rows)?;
            Ok((embeddings.flatten_all()?.to_vec1::<T>()?, width))
        }
        got => Err(Error::Embeddings { got: got.to_vec() }),
    }
}

/// Every row's class by its place, and the rows of every class.
pub(crate) fn members(labels: &Labels) -> (Vec<usize>, Vec<Vec<usize>>) {
    let (places, classes) = labels.compact();
    let mut members = vec![Vec::new(); classes];
    places.iter().enumerate().for_each(|(i, &place)| members[place].push(i));
    (places, members)
}

/// The `cap` best of what has a score, larger first; of equals the first by index. They come back in the order of their
/// indices.
pub(crate) fn best<I: Ord + Copy>(mut scored: Vec<(f64, I)>, cap: usize) -> Vec<I> {
    prune(&mut scored, cap);
    let mut kept: Vec<I> = scored.into_iter().map(|(_, at)| at).collect();
    kept.sort_unstable();
    kept
}

/// Leaves the `cap` best, in no order.
pub(crate) fn prune<I: Ord + Copy>(scored: &mut Vec<(f64, I)>, cap: usize) {
    let order = |a: &(f64, I), b: &(f64, I)| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1));
    if scored.len() > cap {
        scored.select_nth_unstable_by(cap.max(1) - 1, order);
        scored.truncate(cap);
    }
}

/// A cap of at least one tuple.
pub(crate) fn at_least_one(got: usize) -> Result<usize> {
    if got == 0 { Err(Error::Setting { what: "tuples per anchor", got, least: 1 }) } else { Ok(got) }
}

/// A setting that is a finite number from 0.
pub(crate) fn from_zero(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite() && got >= 0., "a finite number from 0")
}

/// A setting with a range of its own.
pub(crate) fn within(what: &'static str, got: f64, legal: bool, range: &'static str) -> Result<f64> {
    if legal { Ok(got) } else { Err(Error::Range { what, got, range }) }
}

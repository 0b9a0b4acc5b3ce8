use crate::rows::{dots, pick};
use crate::stable::softplus;
use crate::{Gallery, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::Similarity;
use npair_types::{Labels, Measure};
use std::ops::Range;

/// Rows of a batch that has positives and negatives: those with another row of their class. An error names what is
/// missing.
pub(crate) fn with_both(loss: &'static str, embeddings: &Tensor, labels: &Labels) -> Result<Vec<usize>> {
    Gallery::of(embeddings, labels)?.with_both(loss)
}

/// The rows of every class of a batch or a gallery.
pub(crate) struct Classes {
    places: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Classes {
    pub(crate) fn new(labels: &Labels) -> Self {
        let (places, classes) = labels.compact();
        let mut members = vec![Vec::new(); classes];
        places.iter().enumerate().for_each(|(i, &place)| members[place].push(i));
        Self { places, members }
    }

    /// All rows of row `i`'s class, itself too, ascending.
    pub(crate) fn of(&self, i: usize) -> &[usize] {
        &self.members[self.places[i]]
    }

    /// The rows of row `i`'s class, but for itself.
    pub(crate) fn positives(&self, i: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        self.of(i).iter().copied().filter(move |&p| p != i)
    }

    /// Number of pairs of one class, each counted once.
    pub(crate) fn pairs(&self) -> usize {
        self.members.iter().map(|m| m.len() * (m.len() - 1) / 2).sum()
    }
}

/// The places of a line of `len` entries that are not among `own`, which ascend: what stands between one and the next.
pub(crate) fn gaps(own: &[usize], len: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let starts = std::iter::once(0).chain(own.iter().map(|p| p + 1));
    starts.zip(own.iter().copied().chain(std::iter::once(len))).map(|(from, to)| from..to)
}

/// Ordered pairs (anchor, positive) among `rows`.
pub(crate) fn ordered_pairs(rows: &[usize], labels: &Labels) -> (Vec<usize>, Vec<usize>) {
    rows.iter().flat_map(|&i| rows.iter().map(move |&p| (i, p))).filter(|&(i, p)| i != p && labels.same(i, p)).unzip()
}

/// Every (query, positive) against the query's negatives: `1/|P| sum_{(i, p)} log(1 + sum_n exp(f_i . f_n - o_ip))`, where
/// `own` makes o of the lists of queries and positives.
pub(crate) fn against_negatives(
    loss: &'static str,
    gallery: &Gallery,
    own: impl FnOnce(&[usize], &[usize]) -> Result<Tensor>,
) -> Result<LossValue> {
    let with = gallery.with_both(loss)?;
    let (queries, rows) = (gallery.queries(), gallery.rows()?);
    let negatives = Similarity::new(queries, &rows, Measure::Dot)?.log_sum_exp(&gallery.is_negative())?;
    let classes = gallery.classes();
    let pairs = with.iter().flat_map(|&i| classes.positives(i).map(move |p| (i, p)));
    let (anchors, positives): (Vec<_>, Vec<_>) = pairs.unzip();
    let above = (pick(&negatives.unsqueeze(1)?, &anchors)?.squeeze(1)? - own(&anchors, &positives)?)?;
    Ok(LossValue::smooth(softplus(&above)?.mean_all()?, anchors.len()))
}

/// Inner products of queries and positives.
pub(crate) fn products(gallery: &Gallery, queries: &[usize], positives: &[usize]) -> Result<Tensor> {
    dots(&pick(gallery.queries(), queries)?, &pick(&gallery.rows()?, positives)?)
}

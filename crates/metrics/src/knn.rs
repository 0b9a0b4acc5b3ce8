use crate::{Error, Mean, Result, Search};
use npair_types::ClassId;
use std::collections::HashMap;

/// Accuracy of the k-nearest-neighbour classifier: the paper's "recognition" on unseen instances of known classes.
///
/// The class with the most votes among the k nearest wins; of tied classes the one with the nearest vote. Unlike in
/// retrieval every query counts: one whose class is not in the gallery is wrong.
///
/// # Units
/// Share of the queries, in [0, 1].
///
/// # Errors
/// [`Error::Setting`] if k is 0 or beyond the gallery.
///
/// # Source
/// Sohn, NIPS 2016, section 4.1; the paper does not give k.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, Search, knn_accuracy};
/// # use npair_types::{Labels, Measure};
/// let gallery = Embeddings::new(&[0f64, 1., 2., 10.], 1, Labels::new([1, 2, 2, 3])?)?;
/// let queries = Embeddings::new(&[0.1, 9.], 1, Labels::new([2, 3])?)?;
/// let search = Search::between(&queries, &gallery, Measure::SquaredEuclidean);
/// assert_eq!(knn_accuracy(&search, 1)?.value, 0.5); // 0.1 is nearest to class 1
/// assert_eq!(knn_accuracy(&search, 3)?.value, 0.5); // 0.1 outvoted rightly, 9 outvoted wrongly
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn knn_accuracy(search: &Search, k: usize) -> Result<Mean> {
    search.expect_k("k of kNN", k)?;
    let near = search.nearest(k)?;
    let (q, g) = (search.queries.labels(), search.gallery.labels());
    let right: Vec<f64> = near
        .iter()
        .enumerate()
        .map(|(i, near)| f64::from(u8::from(winner(near.iter().map(|&j| g.get(j))) == Some(q.get(i)))))
        .collect();
    Mean::of(&right).ok_or(Error::NoPositive { queries: 0 })
}

/// The most frequent class of a list ordered by nearness; of tied ones that which comes first.
fn winner(votes: impl Iterator<Item = ClassId>) -> Option<ClassId> {
    let mut counts = HashMap::<ClassId, (usize, usize)>::new();
    for (rank, class) in votes.enumerate() {
        counts.entry(class).or_insert((0, rank)).0 += 1;
    }
    counts.into_iter().max_by_key(|&(_, (count, first))| (count, std::cmp::Reverse(first))).map(|(class, _)| class)
}

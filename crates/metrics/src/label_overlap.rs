use crate::{Result, Search};
use npair_types::LabelSets;

/// How much the nearest of a query have in common with it, where classes are sets of labels: for every query the Jaccard index of its
/// labels and those of each of its k nearest, nearest first.
///
/// Its mean over queries and neighbours is overlap@k; the share of queries of which one is above 0 is shared@k.
///
/// # Units
/// In [0, 1]. Every query counts, one whose labels nothing else has as well.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if k is 0 or beyond the gallery.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, Search, label_overlaps};
/// # use npair_types::{ClassId, LabelSets, Labels, Measure};
/// let sets = LabelSets::from_names([(ClassId(0), "red|dress"), (ClassId(1), "red|car"), (ClassId(2), "sky")], "|");
/// let rows = Embeddings::new(&[0f64, 1., 5.], 1, Labels::new([0, 1, 2])?)?;
/// let found = label_overlaps(&Search::within(&rows, Measure::SquaredEuclidean), &sets, 2)?;
/// assert_eq!(found, [[1. / 3., 0.], [1. / 3., 0.], [0., 0.]]);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn label_overlaps(search: &Search, sets: &LabelSets, k: usize) -> Result<Vec<Vec<f64>>> {
    search.expect_k("k of label overlaps", k)?;
    let (queries, gallery) = (search.queries.labels(), search.gallery.labels());
    let near = search.nearest(k)?;
    let overlaps = |(query, near): (usize, &Vec<usize>)| {
        near.iter().map(|&row| sets.overlap(queries.get(query), gallery.get(row))).collect()
    };
    Ok(near.iter().enumerate().map(overlaps).collect())
}

use crate::{Embeddings, Error, Mean, Result, Search};
use npair_similarity::Rows;
use npair_types::Measure;

/// Accuracy of the nearest-centroid classifier: a query is of the class whose mean is nearest; of equally near ones the class that
/// comes first in the gallery's order of classes.
///
/// For cosines the mean is of rows of length 1. Within a set a query has no part in its own class's mean; one that is alone in
/// its class is wrong, as one whose class is not in the gallery.
///
/// # Units
/// Share of the queries, in [0, 1].
///
/// # Errors
/// [`Error::Similarity`] if a product overflows.
///
/// # Source
/// Mensink et al., Distance-based image classification, TPAMI 2013.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, Search, nearest_centroid_accuracy};
/// # use npair_types::{Labels, Measure};
/// let gallery = Embeddings::new(&[0f64, 4., 9., 11.], 1, Labels::new([1, 1, 2, 2])?)?;
/// let queries = Embeddings::new(&[5., 7.], 1, Labels::new([1, 1])?)?;
/// let search = Search::between(&queries, &gallery, Measure::SquaredEuclidean);
/// assert_eq!(nearest_centroid_accuracy(&search)?.value, 0.5); // means 2 and 10: 7 is nearer to 10
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn nearest_centroid_accuracy(search: &Search) -> Result<Mean> {
    let (measure, width) = (search.measure, search.gallery.width());
    let gallery = prepared(search.gallery, measure);
    let (places, classes) = search.gallery.labels().compact();
    let (mut sums, mut counts) = (vec![0f64; classes * width], vec![0usize; classes]);
    for (row, &class) in gallery.chunks_exact(width).zip(&places) {
        counts[class] += 1;
        sums[class * width..][..width].iter_mut().zip(row).for_each(|(s, v)| *s += v);
    }
    let mut names = vec![None; classes];
    places.iter().zip(search.gallery.labels().as_slice()).for_each(|(&at, &class)| names[at] = Some(class));
    let mean = |class: usize, without: Option<&[f64]>| -> Option<Vec<f64>> {
        let n = counts[class] - usize::from(without.is_some());
        let sum = sums[class * width..][..width].iter().enumerate();
        (n > 0).then(|| sum.map(|(c, s)| (s - without.map_or(0., |row| row[c])) / n as f64).collect())
    };
    let centres: Vec<f64> = (0..classes).filter_map(|class| mean(class, None)).flatten().collect();
    let within = search.is_within();
    let queries = search.queries.wide();
    let queries = Rows::trusted(&queries, search.queries.width());
    let right = queries.map_lines(Rows::new(&centres, width)?, measure, |query, line| {
        if within {
            let (own, row) = (places[query], &gallery[query * width..][..width]);
            line[own] =
                mean(own, Some(row)).map_or(f64::NEG_INFINITY, |mean| similarity(queries.row(query), &mean, measure));
        }
        let nearest = (0..classes).fold(0, |best, at| if line[at] > line[best] { at } else { best });
        f64::from(u8::from(
            names[nearest] == Some(search.queries.labels().get(query)) && line[nearest] > f64::NEG_INFINITY,
        ))
    })?;
    Mean::of(&right).ok_or(Error::NoPositive { queries: 0 })
}

/// Rows as they are averaged.
fn prepared(set: &Embeddings, measure: Measure) -> Vec<f64> {
    let mut values = set.wide().into_owned();
    if measure == Measure::Cosine {
        for row in values.chunks_exact_mut(set.width()) {
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            if length > 0. {
                row.iter_mut().for_each(|v| *v /= length);
            }
        }
    }
    values
}

fn similarity(a: &[f64], b: &[f64], measure: Measure) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    match measure {
        Measure::Dot => dot(a, b),
        Measure::SquaredEuclidean => -a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>(),
        Measure::Cosine => {
            let lengths = (dot(a, a) * dot(b, b)).sqrt();
            if lengths > 0. { dot(a, b) / lengths } else { 0. }
        }
    }
}

use crate::Result;
use npair_metrics::{Embeddings, Search};
use npair_types::{ClassId, Measure};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Neighbours that are asked.
const ASKED: usize = 10;
/// Examples of its class, itself included, from which on an example is judged.
const FEWEST: usize = 3;
/// Neighbours of one other class that have to agree: one alone may be the mistaken one itself.
const AGREE: usize = 2;
/// How much more they have to agree than those of its own class do.
const TIMES: f64 = 4.;

/// An example whose neighbours are of another class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuspectLabel {
    /// The row.
    pub row: usize,
    /// Its class.
    pub given: ClassId,
    /// The class that its neighbours agree on.
    pub suggested: ClassId,
    /// The share of that class which is among the neighbours, as far as there is room: 0.5 to 1.
    pub agreement: f64,
    /// Its nearest, nearest first.
    pub neighbours: Vec<usize>,
}

/// Examples whose label looks wrong, the surest first: of their ten nearest others two or more are of one other class, at least half
/// of those that could be, and that share is four times as large as that of their own class or more:
///
/// ```text
/// hits(i, c)   rows of class c among the k nearest of i, itself left out
/// share(i, c)  hits(i, c) / min(k, n_c),  n_c without i
/// suspect      max_c hits(i, c) >= 2,  max_c share(i, c) >= 1/2 and >= 4 share(i, own)
/// ```
/// An example of a class with fewer than three cannot be judged by its neighbours, and is not. A network that has learned a wrong
/// label by heart puts the example where the label says: among what was trained on fewer are found than there are.
///
/// # Numerics
/// The nearest are exact; of two classes with the same share the one with more hits is suggested, then the smaller id.
///
/// # Errors
/// Those of the search.
///
/// # Source
/// After Wilson, IEEE Transactions on Systems, Man and Cybernetics 1972 (edited nearest neighbours): there the majority decides, which
/// in small classes is always of others.
///
/// # Examples
/// ```
/// # use npair_evaluate::suspect_labels;
/// # use npair_metrics::Embeddings;
/// # use npair_types::{Labels, Measure};
/// // Three on the right and four on the left, of which the last says that it is one of the right.
/// let rows = [1f32, 0., 1., 0.1, 1., -0.1, -1., 0., -1., 0.1, -1., -0.1, -1., 0.05];
/// let set = Embeddings::new(&rows, 2, Labels::new([1, 1, 1, 2, 2, 2, 1])?)?;
/// let found = npair_evaluate::suspect_labels_among(&set, Measure::Cosine, 3)?;
/// assert_eq!(found.iter().map(|suspect| suspect.row).collect::<Vec<_>>(), [6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn suspect_labels(set: &Embeddings, measure: Measure) -> Result<Vec<SuspectLabel>> {
    suspect_labels_among(set, measure, ASKED)
}

/// The same by so many neighbours.
///
/// # Errors
/// Those of [`suspect_labels`].
pub fn suspect_labels_among(set: &Embeddings, measure: Measure, neighbours: usize) -> Result<Vec<SuspectLabel>> {
    let k = neighbours.min(set.len().saturating_sub(1));
    if k < AGREE {
        return Ok(Vec::new());
    }
    let nearest = Search::within(set, measure).nearest(k)?;
    let mut sizes = HashMap::<ClassId, usize>::new();
    set.labels().as_slice().iter().for_each(|class| *sizes.entry(*class).or_default() += 1);
    let judged = nearest.into_par_iter().enumerate();
    let mut found: Vec<SuspectLabel> = judged.filter_map(|(row, near)| suspect(set, &sizes, row, near)).collect();
    found.sort_by(|a, b| b.agreement.total_cmp(&a.agreement).then(a.row.cmp(&b.row)));
    Ok(found)
}

fn suspect(
    set: &Embeddings,
    sizes: &HashMap<ClassId, usize>,
    row: usize,
    neighbours: Vec<usize>,
) -> Option<SuspectLabel> {
    let given = set.labels().get(row);
    let size = |class: &ClassId| sizes.get(class).copied().unwrap_or(0);
    let mut hits = BTreeMap::<ClassId, usize>::new();
    neighbours.iter().for_each(|&near| *hits.entry(set.labels().get(near)).or_default() += 1);
    if size(&given) < FEWEST {
        return None;
    }
    let share = |size: usize, hits: usize| hits as f64 / neighbours.len().min(size).max(1) as f64;
    let own = share(size(&given) - 1, hits.remove(&given).unwrap_or(0));
    let agreeing = hits
        .into_iter()
        .filter(|(_, hits)| *hits >= AGREE)
        .map(|(class, hits)| (share(size(&class), hits), hits, class));
    let (agreement, _, suggested) =
        agreeing.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2)))?;
    (agreement >= 0.5 && agreement >= TIMES * own).then_some(SuspectLabel {
        row,
        given,
        suggested,
        agreement,
        neighbours,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Labels, Purpose, Streams};
    use rand::Rng;

    /// Classes of `each` rows that scatter by `scatter` around centers in 16 dimensions, and labels of which `wrong` in a hundred are
    /// those of another class; and which ones those are.
    fn planted(classes: u32, each: u32, scatter: f32, wrong: u32) -> (Embeddings, Vec<usize>) {
        let mut rng = Streams::new(5).open(Purpose::Synthesis, [0, 0]);
        let mut normal = move || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.;
        let centers: Vec<[f32; 16]> = (0..classes).map(|_| std::array::from_fn(|_| normal())).collect();
        let rows = (0..classes * each).flat_map(|i| centers[(i / each) as usize]).collect::<Vec<_>>();
        let rows: Vec<f32> = rows.into_iter().map(|v| v + scatter * normal()).collect();
        let mut rng = Streams::new(6).open(Purpose::Synthesis, [0, 0]);
        let mut labels: Vec<u32> = (0..classes * each).map(|i| i / each).collect();
        let mut changed = Vec::new();
        for (row, label) in labels.iter_mut().enumerate() {
            if rng.random_range(0..100) < wrong {
                *label = (*label + rng.random_range(1..classes)) % classes;
                changed.push(row);
            }
        }
        (Embeddings::new(&rows, 16, Labels::new(labels).unwrap()).unwrap(), changed)
    }

    fn rows(found: &[SuspectLabel]) -> Vec<usize> {
        let mut rows: Vec<usize> = found.iter().map(|suspect| suspect.row).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn planted_labels_are_found_and_right_ones_are_not() {
        for (each, wrong) in [(4, 5), (8, 5), (20, 10)] {
            let (set, changed) = planted(60, each, 0.2, wrong);
            let found = rows(&suspect_labels(&set, Measure::Cosine).unwrap());
            let right = found.iter().filter(|row| changed.contains(row)).count();
            // Classes lie apart. What is missed is one of a class that is left with two, or has two others of its own mistake beside it.
            assert!(right >= changed.len() * 8 / 10, "{each}: {right} of {}", changed.len());
            assert!(found.len() - right <= 1, "{each}: {:?} beside {changed:?}", found);
            let (set, _) = planted(60, each, 0.2, 0);
            assert_eq!(suspect_labels(&set, Measure::Cosine).unwrap(), [], "{each}");
        }
    }

    #[test]
    fn what_is_suggested_is_what_the_example_is() {
        let (set, changed) = planted(30, 8, 0.2, 5);
        for suspect in suspect_labels(&set, Measure::Cosine).unwrap() {
            assert!(changed.contains(&suspect.row));
            assert_eq!(suspect.suggested, ClassId(suspect.row as u32 / 8));
            assert_eq!(suspect.neighbours.len(), ASKED);
        }
    }

    #[test]
    fn the_rule_is_its_definition() {
        // Hard classes, so that every branch is taken.
        let (set, _) = planted(25, 5, 1.2, 20);
        let near = Search::within(&set, Measure::Cosine).nearest(ASKED).unwrap();
        let class = |row: usize| set.labels().get(row);
        let size = |class: ClassId| set.labels().as_slice().iter().filter(|c| **c == class).count();
        let want: Vec<usize> = (0..set.len())
            .filter(|&row| {
                let hits = |c: ClassId| near[row].iter().filter(|&&n| class(n) == c).count();
                let own = hits(class(row)) as f64 / ASKED.min(size(class(row)) - 1) as f64;
                let agrees = |c: &ClassId| {
                    let share = hits(*c) as f64 / ASKED.min(size(*c)) as f64;
                    *c != class(row) && hits(*c) >= 2 && share >= 0.5 && share >= 4. * own
                };
                size(class(row)) >= 3 && set.labels().classes().iter().any(agrees)
            })
            .collect();
        assert!(!want.is_empty());
        assert_eq!(rows(&suspect_labels(&set, Measure::Cosine).unwrap()), want);
    }

    #[test]
    fn what_cannot_be_judged_is_not() {
        let set = |labels: &[u32]| {
            let rows: Vec<f32> = (0..labels.len()).flat_map(|i| [1., i as f32 / 10.]).collect();
            Embeddings::new(&rows, 2, Labels::new(labels.iter().copied()).unwrap()).unwrap()
        };
        for labels in [&[1][..], &[1, 2], &[1, 2, 3, 4, 5, 6], &[1, 1, 2, 2, 3, 3]] {
            assert_eq!(suspect_labels(&set(labels), Measure::Cosine).unwrap(), []);
        }
    }
}

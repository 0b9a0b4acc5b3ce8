use crate::Result;
use npair_metrics::{Embeddings, PairScores, Search};
use npair_types::{ClassId, Measure};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Neighbours whose classes are held against an example's own.
const ASKED: usize = 10;
/// Examples of its class, itself included, from which on an example is judged.
const FEWEST: usize = 3;
/// How far out a margin has to lie, in distances from the median to the upper quartile: of a normal distribution four standard deviations.
const FAR_OUT: f64 = 6.;

/// An example that lies nearer to another class than to its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuspectLabel {
    /// The row.
    pub row: usize,
    /// Its class.
    pub given: ClassId,
    /// The class that it lies nearest to: a hint, and no more.
    pub suggested: ClassId,
    /// How much nearer that class is than its own: the difference of their mean similarities.
    pub margin: f64,
    /// Its nearest, nearest first.
    pub neighbours: Vec<usize>,
}

/// Examples whose label looks wrong, the surest first: those that lie much nearer to another class than the examples of this set do.
///
/// ```text
/// s(i, c)   mean similarity of i to its nearest max(2, n_c / 10) rows of class c, itself left out
/// m(i)      max over c != own of s(i, c)  -  s(i, own);   c is one of the classes of the ten nearest of i
/// suspect   m(i) > max(M + 6 (Q - M), -M / 2, 0),   M the median and Q the upper quartile of all m
/// ```
/// The bound is the set's own: where classes overlap, many examples lie nearer to another one and nothing is wrong with them.
///
/// An example of a class with fewer than three cannot be judged by its neighbours, and is not. A network that has learned a wrong
/// label by heart puts the example where the label says: among what was trained on fewer are found than there are.
///
/// # Numerics
/// The nearest are exact, means are f64; of two classes as near the one with the smaller id is suggested.
///
/// # Errors
/// Those of the search.
///
/// # Source
/// The margin of an example: Crammer et al., NIPS 2002; bounds of outliers by quartiles: Tukey, Exploratory data analysis, 1977.
///
/// # Examples
/// ```
/// # use npair_evaluate::suspect_labels;
/// # use npair_metrics::Embeddings;
/// # use npair_types::{Labels, Measure};
/// // Four on the right and five on the left, of which the last says that it is one of the right.
/// let angles = [0f32, 0.1, -0.1, 0.05, 3.0, 3.1, 3.2, 3.15, 3.05];
/// let rows: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
/// let set = Embeddings::new(&rows, 2, Labels::new([1, 1, 1, 1, 2, 2, 2, 2, 1])?)?;
/// let found = suspect_labels(&set, Measure::Cosine)?;
/// assert_eq!(found.iter().map(|suspect| suspect.row).collect::<Vec<_>>(), [8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn suspect_labels(set: &Embeddings, measure: Measure) -> Result<Vec<SuspectLabel>> {
    let k = ASKED.min(set.len().saturating_sub(1));
    if k == 0 {
        return Ok(Vec::new());
    }
    let nearest = Search::within(set, measure).nearest(k)?;
    let scores = PairScores::new(set, measure);
    let classes = Members::of(set);
    let judged = nearest.into_par_iter().enumerate();
    let mut all: Vec<SuspectLabel> =
        judged.filter_map(|(row, near)| judge(set, &scores, &classes, row, near)).collect();
    let bound = bound(all.iter().map(|judged| judged.margin).collect());
    all.retain(|judged| judged.margin > bound);
    all.sort_by(|a, b| b.margin.total_cmp(&a.margin).then(a.row.cmp(&b.row)));
    Ok(all)
}

/// The rows of every class.
struct Members(HashMap<ClassId, Vec<usize>>);

impl Members {
    fn of(set: &Embeddings) -> Self {
        let mut members = HashMap::<ClassId, Vec<usize>>::new();
        set.labels()
            .as_slice()
            .iter()
            .enumerate()
            .for_each(|(row, class)| members.entry(*class).or_default().push(row));
        Self(members)
    }

    fn rows(&self, class: ClassId) -> &[usize] {
        self.0.get(&class).map_or(&[], Vec::as_slice)
    }

    /// s(i, c) of the definition.
    fn nearness(&self, scores: &PairScores, row: usize, class: ClassId) -> f64 {
        let rows = self.rows(class);
        let mut near: Vec<f64> =
            rows.iter().filter(|&&other| other != row).map(|&other| scores.of(row, other)).collect();
        near.sort_by(|a, b| b.total_cmp(a));
        near.truncate((rows.len() / 10).max(2));
        near.iter().sum::<f64>() / near.len().max(1) as f64
    }
}

/// A row with its margin, whatever that is; none where its class is too small.
fn judge(
    set: &Embeddings,
    scores: &PairScores,
    members: &Members,
    row: usize,
    neighbours: Vec<usize>,
) -> Option<SuspectLabel> {
    let given = set.labels().get(row);
    if members.rows(given).len() < FEWEST {
        return None;
    }
    let others: BTreeSet<ClassId> = neighbours.iter().map(|&near| set.labels().get(near)).collect();
    let near =
        others.into_iter().filter(|class| *class != given).map(|class| (members.nearness(scores, row, class), class));
    let own = members.nearness(scores, row, given);
    // Where all of the ten nearest are of its own class, no other is near.
    let (nearness, suggested) =
        near.reduce(|best, next| if next.0 > best.0 { next } else { best }).unwrap_or((-own.abs(), given));
    Some(SuspectLabel { row, given, suggested, margin: nearness - own, neighbours })
}

/// From where on a margin is far out; nothing is where there are none.
fn bound(mut margins: Vec<f64>) -> f64 {
    if margins.is_empty() {
        return f64::INFINITY;
    }
    margins.sort_by(f64::total_cmp);
    let (median, upper) = (margins[margins.len() / 2], margins[margins.len() * 3 / 4]);
    (median + FAR_OUT * (upper - median)).max(-median / 2.).max(0.)
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
            // Classes lie apart: all are found but those whose class has too few, or the mistake of a neighbour, to be held against.
            let alone = |&row: &usize| {
                let given = set.labels().get(row);
                let of = |other: usize| set.labels().get(other) == given;
                let same = |other: usize| other / each as usize == row / each as usize;
                (0..set.len()).filter(|&o| of(o)).count() >= FEWEST
                    && !(0..set.len()).any(|o| o != row && of(o) && same(o))
            };
            let want: Vec<usize> = changed.iter().copied().filter(alone).collect();
            let found = rows(&suspect_labels(&set, Measure::Cosine).unwrap());
            assert!(want.iter().all(|row| found.contains(row)), "{each}: {found:?} for {want:?}");
            assert!(found.iter().all(|row| changed.contains(row)), "{each}: {found:?} beside {changed:?}");
            let (set, _) = planted(60, each, 0.2, 0);
            assert_eq!(suspect_labels(&set, Measure::Cosine).unwrap(), [], "{each}");
        }
    }

    #[test]
    fn classes_that_overlap_raise_no_alarm() {
        for each in [4, 8, 20] {
            let (set, _) = planted(60, each, 1.2, 0);
            let found = suspect_labels(&set, Measure::Cosine).unwrap();
            assert!(found.len() * 100 <= set.len(), "{each}: {} of {}", found.len(), set.len());
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
        let (set, _) = planted(25, 15, 0.6, 8);
        let near = Search::within(&set, Measure::Cosine).nearest(ASKED).unwrap();
        let scores = PairScores::new(&set, Measure::Cosine);
        let class = |row: usize| set.labels().get(row);
        let nearness = |row: usize, c: ClassId| {
            let all: Vec<usize> = (0..set.len()).filter(|&other| class(other) == c).collect();
            let mut near: Vec<f64> = all.iter().filter(|&&o| o != row).map(|&o| scores.of(row, o)).collect();
            near.sort_by(|a, b| b.total_cmp(a));
            let most = 2.max(all.len() / 10).min(near.len());
            near[..most].iter().sum::<f64>() / most as f64
        };
        let margin = |row: usize| {
            let others = near[row].iter().map(|&n| class(n)).filter(|c| *c != class(row));
            let best = others.map(|c| nearness(row, c)).fold(f64::NEG_INFINITY, f64::max);
            let own = nearness(row, class(row));
            if best.is_finite() { best - own } else { -own.abs() - own }
        };
        let margins: Vec<f64> = (0..set.len()).map(margin).collect();
        let mut sorted = margins.clone();
        sorted.sort_by(f64::total_cmp);
        let (m, q) = (sorted[sorted.len() / 2], sorted[sorted.len() * 3 / 4]);
        let cut = (m + 6. * (q - m)).max(-m / 2.).max(0.);
        let want: Vec<usize> = (0..set.len()).filter(|&row| margins[row] > cut).collect();
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

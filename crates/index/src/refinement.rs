//! What is done to a search to find more, and whether it does.

use crate::{Error, QueryExpansion, Reranking, Result};
use npair_metrics::{PairedDifference, paired_difference};
use npair_similarity::{Exclude, Rows};
use npair_types::{Labels, Measure, Purpose, Streams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Queries of a trial, and resamples of its interval.
const QUERIES: usize = 1000;
const RESAMPLES: usize = 2000;

/// What is done to a search to find more of the query's class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refinement {
    /// The query becomes the mean of itself and its nearest rows.
    Expansion(QueryExpansion),
    /// The nearest are put in another order, by their own neighbours.
    Reranking(Reranking),
}

impl Refinement {
    /// Rows of the gallery in the order in which a query finds them, nearest first: all of them, or those that are
    /// [candidates](Reranking::candidates).
    fn order(&self, query: Rows<f32>, gallery: Rows<f32>, measure: Measure) -> Result<Vec<usize>> {
        match self {
            Self::Expansion(expansion) => {
                let expanded = expansion.expand(query, gallery)?;
                plain(Rows::trusted(&expanded, gallery.width()), gallery, measure)
            }
            Self::Reranking(reranking) => {
                let lists = reranking.rerank(query, gallery)?;
                Ok(lists.into_iter().flatten().map(|(row, _)| row).collect())
            }
        }
    }
}

/// All rows of a gallery, nearest to the first query first.
fn plain(query: Rows<f32>, gallery: Rows<f32>, measure: Measure) -> Result<Vec<usize>> {
    let near = query.top_k(gallery, measure, gallery.len(), Exclude::Nothing)?;
    Ok(near.indices(0).iter().map(|&at| at as usize).collect())
}

/// Whether a refinement finds more: each row of a labeled set searched among all others, with it and without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinementTrial {
    /// What was tried.
    pub refinement: Refinement,
    /// Queries: rows whose class has another row, at most 1,000 of them, spread over the set.
    pub queries: usize,
    /// Their classes.
    pub classes: usize,
    /// MAP@R without it.
    pub plain: f64,
    /// MAP@R with it.
    pub refined: f64,
    /// The difference, with over without: paired, by the bootstrap over classes.
    pub difference: PairedDifference,
}

impl RefinementTrial {
    /// Tries a refinement on rows that the network has not learned from.
    ///
    /// # Shapes
    /// `rows` (N, D), N labels.
    ///
    /// # Errors
    /// [`Error::Setting`] if no class has two rows, and those of the refinement.
    pub fn on(rows: Rows<f32>, labels: &Labels, measure: Measure, refinement: Refinement) -> Result<Self> {
        let mut sizes = HashMap::new();
        labels.as_slice().iter().for_each(|class| *sizes.entry(*class).or_insert(0usize) += 1);
        let usable: Vec<usize> = (0..rows.len()).filter(|&row| sizes[&labels.get(row)] > 1).collect();
        let count = usable.len().min(QUERIES);
        let queries: Vec<usize> = (0..count).map(|i| usable[i * usable.len() / count]).collect();
        if queries.is_empty() {
            return Err(Error::setting("refinement", "no class has two rows: nothing can be found again".to_owned()));
        }
        let tried = queries.par_iter().map(|&query| both(rows, labels, measure, (&refinement, query)));
        let values: Vec<[f64; 2]> = tried.collect::<Result<_>>()?;
        let side = |at: usize| values.iter().map(|both| both[at]).collect::<Vec<f64>>();
        let (plain, refined) = (side(0), side(1));
        let of = Labels::from_ids(queries.iter().map(|&query| labels.get(query)).collect());
        let of = of.map_err(npair_metrics::Error::from)?;
        let mut rng = Streams::new(0).open(Purpose::Evaluation, [17, 0]);
        let difference = paired_difference(&refined, &plain, &of, RESAMPLES, &mut rng)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let classes = of.classes().len();
        Ok(Self { refinement, queries: count, classes, plain: mean(&plain), refined: mean(&refined), difference })
    }

    /// Whether it finds more, in a word: its interval lies above 0, below it, or on both sides.
    pub fn verdict(&self) -> &'static str {
        match self.difference.interval {
            interval if interval.low > 0. => "helps",
            interval if interval.high < 0. => "harms",
            _ => "makes no difference that can be told",
        }
    }
}

/// AP@R of a row among all others, without the refinement and with it.
fn both(
    rows: Rows<f32>,
    labels: &Labels,
    measure: Measure,
    (refinement, query): (&Refinement, usize),
) -> Result<[f64; 2]> {
    let (before, behind) = (&rows.as_slice()[..query * rows.width()], &rows.as_slice()[(query + 1) * rows.width()..]);
    let others = [before, behind].concat();
    let gallery = Rows::trusted(&others, rows.width());
    let own = Rows::trusted(rows.row(query), rows.width());
    let right = |at: usize| labels.same(query, at + usize::from(at >= query));
    let positives = (0..gallery.len()).filter(|&at| right(at)).count();
    let score = |order: Vec<usize>| average_precision(order.into_iter().map(right), positives);
    Ok([score(plain(own, gallery, measure)?), score(refinement.order(own, gallery, measure)?)])
}

/// Mean over the R nearest of the precision up to each right one, 0 for each wrong one: AP@R of Musgrave et al., ECCV 2020.
fn average_precision(found: impl Iterator<Item = bool>, positives: usize) -> f64 {
    let (mut right, mut sum) = (0usize, 0.);
    for (at, is_right) in found.take(positives).enumerate() {
        if is_right {
            right += 1;
            sum += right as f64 / (at + 1) as f64;
        }
    }
    sum / positives.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_metrics::{Embeddings, Search, query_scores};
    use rand::Rng;

    /// Two rings of points on a sphere, in classes of one arc each: neighbours' neighbours lead along an arc.
    fn arcs() -> (Vec<f32>, Labels) {
        let mut rng = Streams::new(3).open(Purpose::Synthesis, [0, 0]);
        let mut values = Vec::new();
        for i in 0..60 {
            let (ring, angle) = (i / 30, 0.1 * (i % 30) as f32 + 0.02 * rng.random::<f32>());
            values.extend([angle.cos(), angle.sin(), 0.4 * ring as f32]);
        }
        (values, Labels::new((0..60u32).map(|i| i / 15)).unwrap())
    }

    #[test]
    fn without_a_change_the_trial_is_the_metric() {
        let (values, labels) = arcs();
        let rows = Rows::new(&values, 3).unwrap();
        let set = Embeddings::new(&values, 3, labels.clone()).unwrap();
        let known = query_scores(&Search::within(&set, Measure::Cosine), &[1]).unwrap();
        let mean = known.iter().map(|query| query.ap_at_r).sum::<f64>() / known.len() as f64;
        // A weight of 1 keeps the distance as it was.
        let same = Refinement::Reranking(Reranking { lambda: 1., candidates: 0, ..Reranking::default() });
        let trial = RefinementTrial::on(rows, &labels, Measure::Cosine, same).unwrap();
        assert!((trial.plain - mean).abs() < 1e-12, "{} {mean}", trial.plain);
        assert_eq!((trial.refined, trial.difference.difference), (trial.plain, 0.));
        assert_eq!((trial.queries, trial.classes), (60, 4));
        assert_eq!(trial.verdict(), "makes no difference that can be told");
    }

    #[test]
    fn what_mixes_classes_up_is_said_to_harm() {
        // Each class is two far points that lie close to those of another class: the mean of the nearest is of the wrong ones.
        let mut values = Vec::new();
        for i in 0..80 {
            let angle = (i / 4) as f32 * 0.3 + if i % 4 < 2 { 0. } else { 0.02 };
            values.extend([angle.cos(), angle.sin(), if i % 2 == 0 { 0.013 } else { -0.013 }]);
        }
        let labels = Labels::new((0..80u32).map(|i| i / 4 * 2 + i % 2)).unwrap();
        let rows = Rows::new(&values, 3).unwrap();
        let expansion = Refinement::Expansion(QueryExpansion { rows: 20, alpha: 0. });
        let trial = RefinementTrial::on(rows, &labels, Measure::Cosine, expansion).unwrap();
        assert!(trial.refined < trial.plain && trial.verdict() == "harms", "{trial:?}");
    }

    #[test]
    fn precision_is_that_of_the_paper() {
        // Of three positives the first and the third place: (1 + 2 / 3) / 3.
        let found = [true, false, true, true];
        assert_eq!(average_precision(found.into_iter(), 3), (1. + 2. / 3.) / 3.);
        assert_eq!(average_precision([].into_iter(), 2), 0.);
    }

    #[test]
    fn a_set_without_pairs_is_refused() {
        let rows = Rows::new(&[1f32, 0., 0., 1.], 2).unwrap();
        let labels = Labels::new([0, 1]).unwrap();
        let expansion = Refinement::Expansion(QueryExpansion { rows: 1, alpha: 0. });
        assert!(RefinementTrial::on(rows, &labels, Measure::Cosine, expansion).is_err());
    }
}

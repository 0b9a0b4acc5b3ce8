use crate::Result;
use npair_metrics::{Embeddings, PairScores, Search};
use npair_types::{ClassIndex, Measure};
use serde::Serialize;

/// Two examples of two classes that are as near as examples of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlikePair {
    /// A row.
    pub one: usize,
    /// Another, of another class.
    pub other: usize,
    /// Their similarity.
    pub similarity: f64,
}

/// Pairs of two classes in which each is the other's nearest of all, at least as near as an example usually is to the nearest of its
/// own class (the median over all that have one), nearest first: one thing under two names, or a wrong label. A pair that is nearer than
/// that by chance is as rare as the network is good, so that the first ones are worth a look.
///
/// # Errors
/// Those of the search.
pub fn alike_across_classes(set: &Embeddings, measure: Measure) -> Result<Vec<AlikePair>> {
    if set.len() < 2 {
        return Ok(Vec::new());
    }
    let nearest: Vec<usize> =
        Search::within(set, measure).nearest(1)?.into_iter().map(|near| near.first().copied().unwrap_or(0)).collect();
    let scores = PairScores::new(set, measure);
    let classes = ClassIndex::from_labels(set.labels());
    let of = |class: usize| classes.examples(class).iter().map(|id| id.0).collect::<Vec<_>>();
    let mut own: Vec<f64> = (0..classes.len()).flat_map(|class| nearest_within(&of(class), &scores)).collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    own.sort_by(f64::total_cmp);
    let usual = own[own.len() / 2];
    let mutual =
        (0..set.len()).map(|row| (row, nearest[row])).filter(|&(row, near)| row < near && nearest[near] == row);
    let apart = mutual.filter(|&(row, near)| !set.labels().same(row, near));
    let pair = |(one, other)| AlikePair { one, other, similarity: scores.of(one, other) };
    let mut pairs: Vec<AlikePair> = apart.map(pair).filter(|pair| pair.similarity >= usual).collect();
    pairs.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.one.cmp(&b.one)));
    Ok(pairs)
}

/// The similarity of each of some rows to the nearest of the others.
fn nearest_within(rows: &[usize], scores: &PairScores) -> Vec<f64> {
    let nearest = |row: usize| {
        let others = rows.iter().filter(|&&other| other != row);
        others.map(|&other| scores.of(row, other)).max_by(f64::total_cmp)
    };
    rows.iter().filter_map(|&row| nearest(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::Labels;

    #[test]
    fn one_thing_under_two_names_is_found() {
        // Classes 1 and 2 are apart; of 3 and 4 one example each is nearly the same.
        let angles = [0f32, 0.3, 1.5, 1.8, 3.0, 3.4, 3.401, 4.4];
        let rows: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let set = Embeddings::new(&rows, 2, Labels::new([1, 1, 2, 2, 3, 3, 4, 4]).unwrap()).unwrap();
        let found = alike_across_classes(&set, Measure::Cosine).unwrap();
        assert_eq!(found.iter().map(|pair| (pair.one, pair.other)).collect::<Vec<_>>(), [(5, 6)]);
        assert!((found[0].similarity - f64::from(0.001f32.cos())).abs() < 1e-6);
    }

    #[test]
    fn without_two_of_a_class_there_is_nothing_to_hold_against() {
        let set = Embeddings::new(&[1f32, 0., 1., 0.], 2, Labels::new([1, 2]).unwrap()).unwrap();
        assert_eq!(alike_across_classes(&set, Measure::Cosine).unwrap(), []);
    }
}

use super::{OneShot, OneShotRun, chosen};
use crate::{Error, Result};
use npair_data::Dataset;
use npair_metrics::Embeddings;
use npair_types::{ChaCha8Rng, ClassId, ExampleId, Measure};
use rand::Rng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// The size of one-shot classification within groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithinGroups {
    /// Runs to draw.
    pub runs: usize,
    /// Classes of a run; a group with fewer gives all it has.
    pub ways: usize,
}

impl Default for WithinGroups {
    fn default() -> Self {
        Self { runs: 400, ways: 20 }
    }
}

/// One-shot classification in the manner of Omniglot's official task, drawn from any data set: every run draws a group
/// (an alphabet) and `ways` classes of it. Where the data set knows who made an example, two authors are drawn as well: the
/// training image of every class is one's, the test image the other's. Otherwise they are two examples of the class.
///
/// A data set without groups is one group. Of the pairs of authors, those are drawn from that leave the most classes, up
/// to `ways`; groups without two classes that can be used are never drawn. Every group is as likely as every other.
///
/// # Shapes
/// Row i of `set` is example i of `side`.
///
/// # Units
/// Shares, in [0, 1]. The standard error is over runs; runs share images, so that it is the error of drawing other runs from
/// these groups, not from others.
///
/// # Errors
/// [`Error::Setting`] if the numbers of rows and examples differ, `runs` is 0 or `ways` is below 2, or there is no group
/// with two such classes.
///
/// # Source
/// The official task: Lake, Salakhutdinov, Tenenbaum, Science 350 (2015); its runs are read by
/// [`OneShotRuns`](npair_data::OneShotRuns).
pub fn one_shot_within_groups(
    side: &dyn Dataset,
    set: &Embeddings,
    measure: Measure,
    how: WithinGroups,
    rng: &mut ChaCha8Rng,
) -> Result<OneShot> {
    let wrong = |why: String| Err(Error::Setting { setting: "one-shot-within-groups", why });
    if set.len() != side.len() {
        return wrong(format!("{} embeddings are not those of {} examples", set.len(), side.len()));
    }
    if how.runs == 0 || how.ways < 2 {
        return wrong(format!("{} runs of {} classes: 1 run and 2 classes at least", how.runs, how.ways));
    }
    let groups: Vec<Group> =
        groups(side).into_iter().filter_map(|(name, classes)| Group::of(name, classes, how.ways)).collect();
    if groups.is_empty() {
        return wrong(format!("{} has no group with 2 classes of 2 examples (by 2 authors)", side.name()));
    }
    let runs = (0..how.runs)
        .map(|_| {
            let group = &groups[rng.random_range(0..groups.len())];
            let pairs = group.draw(how.ways, rng);
            let (training, test): (Vec<ExampleId>, Vec<ExampleId>) = pairs.into_iter().unzip();
            let classes = || 0..training.len() as u32;
            let (training, test) = (chosen(set, &training, classes())?, chosen(set, &test, classes())?);
            OneShotRun::judge(group.name.clone(), &training, &test, measure)
        })
        .collect::<Result<_>>()?;
    OneShot::of(runs)
}

/// The examples of a class by author; all under none where authors are unknown.
type ByAuthor = BTreeMap<Option<u32>, Vec<ExampleId>>;

fn groups(side: &dyn Dataset) -> BTreeMap<String, BTreeMap<ClassId, ByAuthor>> {
    let mut groups = BTreeMap::<String, BTreeMap<ClassId, ByAuthor>>::new();
    for (at, &class) in side.labels().as_slice().iter().enumerate() {
        let group = side.group(class).unwrap_or("everything").to_owned();
        let by_author = groups.entry(group).or_default().entry(class).or_default();
        by_author.entry(side.author(ExampleId(at))).or_default().push(ExampleId(at));
    }
    groups
}

/// A group that runs can be drawn from.
struct Group {
    name: String,
    classes: Vec<ByAuthor>,
    /// Pairs of authors that leave enough classes; none where authors are unknown.
    authors: Vec<(u32, u32)>,
}

impl Group {
    fn of(name: String, classes: BTreeMap<ClassId, ByAuthor>, ways: usize) -> Option<Self> {
        let classes: Vec<ByAuthor> = classes.into_values().collect();
        let mut made = BTreeMap::<u32, Vec<usize>>::new();
        for (place, class) in classes.iter().enumerate() {
            class.keys().flatten().for_each(|&author| made.entry(author).or_default().push(place));
        }
        if made.is_empty() {
            let classes: Vec<ByAuthor> = classes.into_iter().filter(|c| c.values().any(|e| e.len() >= 2)).collect();
            return (classes.len() >= 2).then_some(Self { name, classes, authors: Vec::new() });
        }
        let made: Vec<(u32, Vec<usize>)> = made.into_iter().collect();
        let mut pairs = Vec::new();
        for (at, (one, ones)) in made.iter().enumerate() {
            for (other, others) in &made[at + 1..] {
                let both = ones.iter().filter(|place| others.binary_search(place).is_ok()).count().min(ways);
                pairs.push((both, (*one, *other)));
            }
        }
        let most = pairs.iter().map(|p| p.0).max().filter(|&most| most >= 2)?;
        let authors = pairs.into_iter().filter(|p| p.0 == most).map(|p| p.1).collect();
        Some(Self { name, classes, authors })
    }

    /// A training and a test example of each of up to `ways` classes.
    fn draw(&self, ways: usize, rng: &mut ChaCha8Rng) -> Vec<(ExampleId, ExampleId)> {
        let mut pairs: Vec<(ExampleId, ExampleId)> = if self.authors.is_empty() {
            self.classes.iter().flat_map(|class| class.values()).map(|examples| two_of(examples, rng)).collect()
        } else {
            let (one, other) = self.authors[rng.random_range(0..self.authors.len())];
            let (one, other) = if rng.random() { (one, other) } else { (other, one) };
            let of = |class: &ByAuthor, author: u32| class.get(&Some(author)).cloned();
            let both = self.classes.iter().filter_map(|class| of(class, one).zip(of(class, other)));
            both.map(|(a, b)| (a[rng.random_range(0..a.len())], b[rng.random_range(0..b.len())])).collect()
        };
        let (drawn, _) = pairs.partial_shuffle(rng, ways);
        drawn.to_vec()
    }
}

/// Two different ones of at least two.
fn two_of(examples: &[ExampleId], rng: &mut ChaCha8Rng) -> (ExampleId, ExampleId) {
    let first = rng.random_range(0..examples.len());
    let second = rng.random_range(0..examples.len() - 1);
    (examples[first], examples[if second < first { second } else { second + 1 }])
}

#[cfg(test)]
mod tests;

use crate::{Error, Result};
use npair_types::{ChaCha8Rng, ClassIndex, ExampleId};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cyclic sampler of the numbers 0..: in random order, shuffled anew when all were drawn, so that each comes up once per round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cyclic {
    order: Vec<usize>,
    next: usize,
}

impl Cyclic {
    pub(crate) fn new(len: usize) -> Self {
        Self { order: (0..len).collect(), next: len }
    }

    /// `count` different numbers. Where a round ends in between, the next one goes on with numbers not drawn yet.
    pub(crate) fn draw(&mut self, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let left = self.order.len() - self.next;
        let mut drawn: Vec<usize> = self.order[self.next..self.next + left.min(count)].to_vec();
        self.next += drawn.len();
        if drawn.len() < count {
            self.order.shuffle(rng);
            // The numbers just drawn go behind the others, which keep their random order.
            let (mut fresh, old): (Vec<_>, Vec<_>) = self.order.iter().partition(|n| !drawn.contains(n));
            self.next = (count - drawn.len()).min(fresh.len());
            drawn.extend(&fresh[..self.next]);
            fresh.extend(old);
            self.order = fresh;
        }
        drawn
    }
}

/// The examples of every class, each in a cycle of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Examples(BTreeMap<usize, Cyclic>);

impl Examples {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// `count` different examples of the class at `place` of the index (which has as many).
    pub(crate) fn draw(
        &mut self,
        index: &ClassIndex,
        place: usize,
        count: usize,
        rng: &mut ChaCha8Rng,
    ) -> Vec<ExampleId> {
        let examples = index.examples(place);
        let cyclic = self.0.entry(place).or_insert_with(|| Cyclic::new(examples.len()));
        cyclic.draw(count, rng).into_iter().map(|i| examples[i]).collect()
    }

    /// An error unless all cycles are of this index.
    pub(crate) fn check(&self, index: &ClassIndex) -> Result<()> {
        match self.0.iter().find(|&(&place, cyclic)| place >= index.len() || !cyclic.is_of(index.examples(place).len()))
        {
            Some((place, _)) => Err(Error::State(format!("class {place} has other examples now"))),
            None => Ok(()),
        }
    }
}

impl Cyclic {
    /// Whether this is a cycle of `len` numbers.
    pub(crate) fn is_of(&self, len: usize) -> bool {
        let mut order = self.order.clone();
        order.sort_unstable();
        self.next <= len && order.into_iter().eq(0..len)
    }
}

/// The usable classes of an index: those with enough examples. An error if there are fewer than a batch needs.
pub(crate) fn usable(index: &ClassIndex, least: usize, need: usize) -> Result<Vec<usize>> {
    let places = index.with_at_least(least);
    if places.len() < need {
        return Err(Error::TooFewClasses { need, least, have: places.len() });
    }
    Ok(places)
}

/// State from JSON.
pub(crate) fn parse<T: for<'a> Deserialize<'a>>(state: &serde_json::Value) -> Result<T> {
    T::deserialize(state).map_err(|e| Error::State(e.to_string()))
}

/// State to JSON.
pub(crate) fn write<T: Serialize>(state: &T) -> Result<serde_json::Value> {
    serde_json::to_value(state).map_err(|e| Error::State(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_once_per_round_and_no_repeats_in_a_draw(len in 1usize..30, draws in proptest::collection::vec(0usize..30, 1..40), seed: u64) {
            let mut rng = Streams::new(seed).open(Purpose::Sampling, [0, 0]);
            let mut cyclic = Cyclic::new(len);
            let mut counts = vec![0usize; len];
            for count in draws {
                let drawn = cyclic.draw(count.min(len), &mut rng);
                prop_assert_eq!(drawn.len(), count.min(len));
                let mut distinct = drawn.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), drawn.len());
                for d in drawn {
                    counts[d] += 1;
                }
                let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                // A draw over the end of a round may take a number early, never twice.
                prop_assert!(high - low <= 1, "{:?}", counts);
                prop_assert!(cyclic.is_of(len));
            }
        }
    }
}

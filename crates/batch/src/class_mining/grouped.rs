use crate::sampler::cyclic::Cyclic;
use crate::{Error, Result};
use npair_types::{ChaCha8Rng, ClassIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which group (alphabet, species of a genus, model of a make) every class of an index is in, and how many groups a batch
/// takes its classes from.
///
/// Classes of one group look alike, so a batch of few groups is full of hard negatives without embedding anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    of: Vec<usize>,
    per_batch: usize,
}

impl Groups {
    /// `of[place]` is the group of the class at that place of the index, by any name.
    ///
    /// # Errors
    /// [`Error::Setting`] if `per_batch` is 0, [`Error::Groups`] if not every class has a group.
    pub fn new<T: Ord>(index: &ClassIndex, of: &[T], per_batch: usize) -> Result<Self> {
        if per_batch == 0 {
            return Err(Error::Setting { what: "the number of groups in a batch", got: 0, least: 1 });
        }
        if of.len() != index.len() {
            return Err(Error::Groups { got: of.len(), classes: index.len() });
        }
        let mut numbers = BTreeMap::new();
        of.iter().for_each(|name| _ = numbers.insert(name, 0));
        numbers.values_mut().enumerate().for_each(|(i, n)| *n = i);
        Ok(Self { of: of.iter().map(|name| numbers[name]).collect(), per_batch })
    }
}

/// Class choice by groups: groups come up in a cycle, and the classes of each in a cycle of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupedClasses {
    per_batch: usize,
    groups: Cyclic,
    /// Places of the classes of every group among the usable classes, and their cycle.
    members: Vec<(Vec<usize>, Cyclic)>,
}

impl GroupedClasses {
    pub(crate) fn new(groups: &Groups, usable: &[usize]) -> Self {
        let mut members = BTreeMap::<usize, Vec<usize>>::new();
        for (place, &class) in usable.iter().enumerate() {
            members.entry(groups.of[class]).or_default().push(place);
        }
        let members: Vec<_> = members.into_values().map(|m| (Cyclic::new(m.len()), m)).map(|(d, m)| (m, d)).collect();
        Self { per_batch: groups.per_batch, groups: Cyclic::new(members.len()), members }
    }

    /// `n` classes of as few groups as asked for, of more where these are too small; the groups give equal shares as far as
    /// they can.
    pub(crate) fn draw(&mut self, n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let size = |g: &usize, members: &[(Vec<usize>, Cyclic)]| members[*g].0.len();
        let mut chosen = self.groups.draw(self.per_batch.min(self.members.len()), rng);
        while chosen.iter().map(|g| size(g, &self.members)).sum::<usize>() < n {
            let next = self.groups.draw(1, rng)[0];
            // The first of a new round may be in the batch already; then the round goes on.
            if !chosen.contains(&next) {
                chosen.push(next);
            }
        }
        let given = |share: usize| chosen.iter().map(|g| size(g, &self.members).min(share)).sum::<usize>();
        let share = (1..).find(|&share| given(share) >= n).unwrap_or(n);
        let mut places = Vec::with_capacity(n);
        for g in chosen {
            let (classes, cyclic) = &mut self.members[g];
            let count = classes.len().min(share).min(n - places.len());
            places.extend(cyclic.draw(count, rng).into_iter().map(|i| classes[i]));
        }
        places
    }

    /// An error unless `later` is a later state of this.
    pub(crate) fn check_successor(&self, later: &Self) -> Result<()> {
        let same = self.per_batch == later.per_batch
            && self.members.len() == later.members.len()
            && later.groups.is_of(later.members.len())
            && self.members.iter().zip(&later.members).all(|(a, b)| a.0 == b.0 && b.1.is_of(b.0.len()));
        if same { Ok(()) } else { Err(Error::State("the groups differ".to_owned())) }
    }
}

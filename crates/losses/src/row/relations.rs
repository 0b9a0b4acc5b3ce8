use crate::{Batch, Result};
use npair_similarity::Element;
use npair_types::{Labels, Tuples};
use std::ops::Range;

/// The rows of every class of a batch and its reference.
pub(crate) struct Classes {
    places: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Classes {
    pub(crate) fn new(labels: &Labels) -> Self {
        let (places, classes) = labels.compact();
        let mut members = vec![Vec::new(); classes];
        places.iter().enumerate().for_each(|(i, &place)| members[place].push(i));
        Self { places, members }
    }

    /// All rows of row `i`'s class, itself too, ascending.
    pub(crate) fn of(&self, i: usize) -> &[usize] {
        &self.members[self.places[i]]
    }

    /// The rows of row `i`'s class, but for itself.
    pub(crate) fn positives(&self, i: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        self.of(i).iter().copied().filter(move |&p| p != i)
    }

    /// Number of pairs of one class, each counted once.
    pub(crate) fn pairs(&self) -> usize {
        self.members.iter().map(|m| m.len() * (m.len() - 1) / 2).sum()
    }
}

/// The other rows as every query sees them: by the labels, or by a miner's choice.
pub(crate) enum Relations {
    Classes(Classes),
    Listed(Vec<Listed>),
}

/// A miner's choice for a query; all ascend.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    positives: Vec<usize>,
    negatives: Vec<usize>,
    /// Pairs (positive, negative), if it chose triplets.
    triplets: Option<Vec<[usize; 2]>>,
}

impl Relations {
    /// Those of a batch; what is missing in one without chosen tuples is an error.
    pub(crate) fn new(batch: &Batch, loss: &str, needs: Needs) -> Result<Self> {
        if let Some(listed) = listed(batch) {
            return Ok(Self::Listed(listed));
        }
        match needs {
            Needs::Both => _ = batch.with_both(loss)?,
            Needs::Either => batch.expect_two(loss)?,
        }
        Ok(Self::Classes(batch.classes()))
    }

    /// Row `i` of the matrix.
    pub(crate) fn row<'a, T>(&'a self, i: usize, entries: &'a [T]) -> Row<'a, T> {
        let others = match self {
            Self::Classes(classes) => Others::Class(classes.of(i)),
            Self::Listed(listed) => Others::Listed(&listed[i]),
        };
        Row { index: i, entries, others }
    }
}

fn listed(batch: &Batch) -> Option<Vec<Listed>> {
    let pairs = batch.listed()?;
    let mut rows = vec![Listed::default(); batch.labels().len()];
    pairs.positives().iter().for_each(|&[a, p]| rows[a].positives.push(p));
    pairs.negatives().iter().for_each(|&[a, n]| rows[a].negatives.push(n));
    if let Some(Tuples::Triplets(triplets)) = batch.chosen() {
        rows.iter_mut().for_each(|row| row.triplets = Some(Vec::new()));
        for [a, p, n] in (0..triplets.len()).map(|at| triplets.rows(at)) {
            rows[a].triplets.get_or_insert_default().push([p, n]);
        }
    }
    for row in &mut rows {
        row.positives.sort_unstable();
        row.negatives.sort_unstable();
    }
    Some(rows)
}

/// The others that a row has to have, so that the loss has a term for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A positive and a negative: other rows are negatives of others only, and a batch without such a row is an error.
    Both,
    /// A positive or a negative: every row has a term, and a batch of a single row is an error.
    Either,
}

/// One query's row of the matrix: its entries, and what the rows that they stand for are to it.
///
/// Without a miner the positives are all other rows of the query's class, the negatives all rows of other classes, those of a
/// reference included. With one they are what it chose: a row may be neither, and then takes no part.
#[derive(Debug)]
pub struct Row<'a, T> {
    index: usize,
    entries: &'a [T],
    others: Others<'a>,
}

impl<T> Clone for Row<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Row<'_, T> {}

#[derive(Debug, Clone, Copy)]
enum Others<'a> {
    /// All rows of the class, the query too; all others are negatives.
    Class(&'a [usize]),
    Listed(&'a Listed),
}

impl<'a, T> Row<'a, T> {
    /// The query's index in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The entries of the row (G), that of the query with itself too.
    pub fn entries(&self) -> &'a [T] {
        self.entries
    }

    /// Indices of the positives, ascending.
    pub fn positives(&self) -> impl Iterator<Item = usize> + Clone + 'a + use<'a, T> {
        let (index, own) = match self.others {
            Others::Class(own) => (self.index, own),
            Others::Listed(listed) => (self.index, &listed.positives[..]),
        };
        own.iter().copied().filter(move |&p| p != index)
    }

    /// Indices of all rows of the query's class that take part, the query's own too, ascending.
    pub(crate) fn with_query(&self) -> impl Iterator<Item = usize> + Clone + 'a + use<'a, T> {
        let index = self.index;
        let before = self.positives().take_while(move |&p| p < index);
        before.chain([index]).chain(self.positives().skip_while(move |&p| p < index))
    }

    /// Indices of the negatives, ascending.
    pub fn negatives(&self) -> impl Iterator<Item = usize> + Clone + 'a + use<'a, T> {
        self.negative_ranges().into_iter().flatten()
    }

    /// The negatives as ranges of indices, so that loops run over slices: between two rows of the query's class all are.
    pub(crate) fn negative_ranges(&self) -> Vec<Range<usize>> {
        match self.others {
            Others::Class(own) => {
                let starts = std::iter::once(0).chain(own.iter().map(|p| p + 1));
                let ends = own.iter().copied().chain(std::iter::once(self.entries.len()));
                starts.zip(ends).map(|(from, to)| from..to).collect()
            }
            Others::Listed(listed) => listed.negatives.iter().map(|&n| n..n + 1).collect(),
        }
    }

    /// Number of positives.
    pub fn num_positives(&self) -> usize {
        match self.others {
            Others::Class(own) => own.len() - 1,
            Others::Listed(listed) => listed.positives.len(),
        }
    }

    /// Number of negatives.
    pub fn num_negatives(&self) -> usize {
        match self.others {
            Others::Class(own) => self.entries.len() - own.len(),
            Others::Listed(listed) => listed.negatives.len(),
        }
    }

    /// The triplets (positive, negative) that a miner chose with this query as anchor, if it chose triplets: not every positive
    /// goes with every negative then.
    pub fn chosen_triplets(&self) -> Option<&'a [[usize; 2]]> {
        match self.others {
            Others::Class(_) => None,
            Others::Listed(listed) => listed.triplets.as_deref(),
        }
    }

    pub(crate) fn has_term(&self, needs: Needs) -> bool {
        let both = || self.num_positives() > 0 && self.num_negatives() > 0;
        match (needs, self.others) {
            (Needs::Both, _) => both(),
            (Needs::Either, Others::Class(_)) => true,
            (Needs::Either, Others::Listed(_)) => self.num_positives() + self.num_negatives() > 0,
        }
    }
}

impl<T: Element> Row<'_, T> {
    /// Writes `otherwise` to every entry of a line of G that is no negative's: with minus infinity there, an exponential or a
    /// maximum over the whole line is one over the negatives.
    pub fn keep_negatives(&self, line: &mut [T], otherwise: T) {
        match self.others {
            Others::Class(own) => own.iter().for_each(|&p| line[p] = otherwise),
            Others::Listed(listed) => {
                let mut from = 0;
                for &n in &listed.negatives {
                    line[from..n].fill(otherwise);
                    from = n + 1;
                }
                line[from..].fill(otherwise);
            }
        }
    }
}

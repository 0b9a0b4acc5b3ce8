mod decide;

use crate::Element;
use crate::coarse::Coarse;
use crate::pairwise::PairwiseSimilarity;
use crate::sweep::{self, Gather, Stop};

/// How candidates are decided whose values are not their similarity, but near it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact<'a, T> {
    pub(super) pairs: &'a PairwiseSimilarity<'a, T>,
    /// Which queries of the pairs these are, if not all.
    pub(super) rows: Option<&'a [usize]>,
    pub(super) slack: Slack<'a, T>,
    /// Pairs that may be compared while the matrix streams by.
    pub(super) most: usize,
    /// Whether lists are thinned by products of single pairs in `T` before they are decided in f64.
    pub(super) thins: bool,
}

impl<T: Element> Exact<'_, T> {
    /// Which query of the pairs it is.
    fn query(&self, query: usize) -> usize {
        self.rows.map_or(query, |rows| rows[query])
    }

    fn similarity(&self, query: usize, row: u32) -> f64 {
        self.pairs.similarity(self.query(query), row as usize)
    }
}

/// How far values may be from the similarity.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slack<'a, T> {
    /// Of every query so far at most, to either side.
    Margins(&'a [f64]),
    /// They are entries of this matrix, above the similarity.
    Coarse(&'a Coarse<T>),
}

impl<T: Element> Slack<'_, T> {
    /// What a value has to be below to be that of a row farther than this one. Two margins, and half a one for what is rounded here.
    fn least(&self, query: usize, row: u32, value: T) -> T {
        match self {
            Self::Margins(margins) => T::narrow(value.wide() - 2.5 * margins[query]),
            Self::Coarse(coarse) => coarse.least(query, row as usize, value),
        }
    }

    /// The same for a similarity. Of the nearest two values one is the similarity's bound in any case: no value lies between.
    fn below(&self, query: usize, similarity: f64) -> T {
        match self {
            Self::Margins(margins) => T::narrow(similarity - 1.5 * margins[query]),
            Self::Coarse(_) => T::narrow(similarity),
        }
    }
}

/// The best candidates so far of all queries: `room` places each, of which the best `k` are kept when they are full, and what
/// cannot be told from them.
pub(super) struct Candidates<'a, T> {
    pub(super) k: usize,
    room: usize,
    /// A list of more than these after it was pruned is decided at once.
    full: usize,
    similarity: Vec<T>,
    indices: Vec<u32>,
    counts: Vec<u32>,
    bars: Vec<T>,
    /// Pairs compared so far.
    compared: Vec<u32>,
    exact: Option<Exact<'a, T>>,
}

/// The part of a block of queries.
pub(super) struct Block<'b, T> {
    first: usize,
    k: usize,
    room: usize,
    full: usize,
    similarity: &'b mut [T],
    indices: &'b mut [u32],
    counts: &'b mut [u32],
    /// What is farther than this cannot be among a query's best.
    pub(super) bars: &'b mut [T],
    compared: &'b mut [u32],
    exact: Option<Exact<'b, T>>,
}

/// Room of a task: what sorts a list by its values, and by similarity, with the values.
pub(super) struct Scratch<T: Element> {
    keys: Vec<T::Key>,
    least: Vec<T>,
    exact: Vec<(<f64 as Element>::Key, T)>,
}

impl<T: Element> Default for Scratch<T> {
    fn default() -> Self {
        Self { keys: Vec::new(), least: Vec::new(), exact: Vec::new() }
    }
}

/// Candidates beyond the best k that are gathered before the worst are thrown away.
const SPARE: usize = 54;
/// The same where values are far above the similarity: of rows that lie anyhow three to five times as many cannot be told from the k
/// best, fewer of many, and lists without room for these are decided again and again.
fn spare_of_coarse(k: usize) -> usize {
    86.max((5 * k).min(500)).max(k + k / 2)
}

impl<'a, T: Element> Candidates<'a, T> {
    /// None yet for `queries` queries, of at most `gallery` candidates.
    pub(super) fn new(queries: usize, gallery: usize, k: usize, exact: Option<Exact<'a, T>>) -> Self {
        let coarse = exact.is_some_and(|exact| matches!(exact.slack, Slack::Coarse(_)));
        // Seldom enough for large k, and a fifth of the result's memory.
        let spare = if coarse { spare_of_coarse(k) } else { SPARE.max(k / 5) };
        let room = (k + spare).min(gallery.max(1));
        let full = k.min(room) + if coarse { (room - k.min(room)) / 8 * 7 } else { (room - k.min(room)) / 2 };
        Self {
            k,
            room,
            full,
            similarity: vec![T::ZERO; queries * room],
            indices: vec![0; queries * room],
            counts: vec![0; queries],
            bars: vec![T::NEG_INFINITY; queries],
            compared: vec![0; queries],
            exact,
        }
    }

    /// What is not gathered of every query: anything below.
    pub(super) fn bars(&self) -> &[T] {
        &self.bars
    }

    /// Nothing is gathered that is below the similarity that is known of its query.
    pub(super) fn start_from(&mut self, known: &[f64]) {
        for (query, (bar, &known)) in self.bars.iter_mut().zip(known).enumerate() {
            *bar = self.exact.map_or(T::narrow(known), |exact| exact.slack.below(query, known));
        }
    }

    /// Queries that have fewer than k, or of whose k best one might be below the bar that they started with.
    pub(super) fn short(&mut self, bars: &[T]) -> Vec<usize> {
        let mut short = Vec::new();
        let (k, mut least) = (self.k, Vec::new());
        for block in self.blocks(usize::MAX) {
            for (row, &bar) in bars.iter().enumerate() {
                if block.bar(row, k, &mut least).is_none_or(|least| least < bar) {
                    short.push(row);
                }
            }
        }
        short
    }

    /// A query's list becomes another's, which is of the same k.
    pub(super) fn replace(&mut self, query: usize, other: &Candidates<T>, of: usize) {
        let n = other.counts[of] as usize;
        let (to, from) = (query * self.room, of * other.room);
        self.similarity[to..to + n].copy_from_slice(&other.similarity[from..from + n]);
        self.indices[to..to + n].copy_from_slice(&other.indices[from..from + n]);
        self.counts[query] = n as u32;
    }

    /// (where each list starts, indices, similarity), where the lists have been finished: they move together in place.
    pub(super) fn into_lists(mut self) -> (Vec<usize>, Vec<u32>, Vec<T>) {
        let mut starts = Vec::with_capacity(self.counts.len() + 1);
        let mut end = 0;
        starts.push(end);
        for (query, &count) in self.counts.iter().enumerate() {
            let from = query * self.room;
            let list = from..from + count as usize;
            self.similarity.copy_within(list.clone(), end);
            self.indices.copy_within(list, end);
            end += count as usize;
            starts.push(end);
        }
        self.similarity.truncate(end);
        self.indices.truncate(end);
        self.similarity.shrink_to_fit();
        self.indices.shrink_to_fit();
        (starts, self.indices, self.similarity)
    }
}

impl<T: Element> Gather<T> for Candidates<'_, T> {
    type Room = Scratch<T>;
    type Block<'b>
        = Block<'b, T>
    where
        Self: 'b;

    /// The blocks of `size` queries each.
    fn blocks(&mut self, size: usize) -> Vec<Block<'_, T>> {
        let (k, room, full, exact) = (self.k, self.room, self.full, self.exact);
        let size = size.min(self.counts.len().max(1));
        self.similarity
            .chunks_mut(size * room)
            .zip(self.indices.chunks_mut(size * room))
            .zip(self.counts.chunks_mut(size).zip(self.bars.chunks_mut(size)).zip(self.compared.chunks_mut(size)))
            .enumerate()
            .map(|(at, ((similarity, indices), ((counts, bars), compared)))| Block {
                first: at * size,
                k,
                room,
                full,
                similarity,
                indices,
                counts,
                bars,
                compared,
                exact,
            })
            .collect()
    }

    fn go_on(&self) -> Result<(), Stop> {
        let compared: usize = self.compared.iter().map(|&n| n as usize).sum();
        if self.exact.is_some_and(|exact| compared > exact.most) { Err(Stop::Given) } else { Ok(()) }
    }
}

impl<T: Element> sweep::Block<T, Scratch<T>> for Block<'_, T> {
    fn first(&self) -> usize {
        self.first
    }

    fn bars(&self) -> &[T] {
        self.bars
    }

    #[inline]
    fn offer(&mut self, row: usize, value: T, column: usize, scratch: &mut Scratch<T>) -> Result<(), Stop> {
        if value < self.bars[row] {
            return Ok(());
        }
        if !value.wide().is_finite() {
            return Err(Stop::Overflow(self.first + row));
        }
        let count = self.counts[row] as usize;
        let at = row * self.room + count;
        self.similarity[at] = value;
        self.indices[at] = column as u32;
        self.counts[row] += 1;
        if count + 1 == self.room && self.room > self.k {
            let bar = self.prune(row, scratch);
            self.bars[row] = if bar > self.bars[row] { bar } else { self.bars[row] };
            // Too many that values cannot tell apart: the list would be full again at once.
            if self.counts[row] as usize > self.full {
                self.settle(row, scratch);
            }
        }
        Ok(())
    }
}

impl<T: Element> Block<'_, T> {
    fn list(&self, row: usize) -> std::ops::Range<usize> {
        row * self.room..row * self.room + self.counts[row] as usize
    }

    /// What a value has to be below to be that of a row farther than this one.
    pub(super) fn least(&self, row: usize, index: u32, value: T) -> T {
        self.exact.map_or(value, |exact| exact.slack.least(self.first + row, index, value))
    }

    /// What a value has to be below to be that of a row farther than k of a query's, if it has as many.
    fn bar(&self, row: usize, k: usize, least: &mut Vec<T>) -> Option<T> {
        let list = self.list(row);
        let both = self.similarity[list.clone()].iter().zip(&self.indices[list]);
        least.clear();
        least.extend(both.map(|(&value, &index)| self.least(row, index, value)));
        // Values that are none have ended the pass.
        let order = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal);
        (least.len() >= k).then(|| *least.select_nth_unstable_by(k - 1, order).1)
    }

    /// Leaves the best k of a query by their values, in no order, and what may be as near; from what value on that is.
    fn prune(&mut self, row: usize, scratch: &mut Scratch<T>) -> T {
        match self.exact {
            None => self.prune_by_value(row, &mut scratch.keys),
            Some(_) => {
                let bar = self.bar(row, self.k, &mut scratch.least).unwrap_or(T::NEG_INFINITY);
                let (list, mut end) = (self.list(row), row * self.room);
                for at in list {
                    if self.similarity[at] >= bar {
                        (self.similarity[end], self.indices[end]) = (self.similarity[at], self.indices[at]);
                        end += 1;
                    }
                }
                self.counts[row] = (end - row * self.room) as u32;
                bar
            }
        }
    }

    /// The same where values are the similarity: of equal ones the earlier are kept.
    fn prune_by_value(&mut self, row: usize, keys: &mut Vec<T::Key>) -> T {
        let list = self.list(row);
        keys.clear();
        keys.extend(self.similarity[list.clone()].iter().zip(&self.indices[list]).map(|(v, &i)| v.key(i)));
        if keys.len() <= self.k {
            return T::NEG_INFINITY;
        }
        let (_, &mut least, _) = keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        keys.truncate(self.k);
        let start = row * self.room;
        for (at, &key) in keys.iter().enumerate() {
            (self.similarity[start + at], self.indices[start + at]) = T::of_key(key);
        }
        self.counts[row] = keys.len() as u32;
        T::of_key(least).0
    }

    /// Leaves the best k of a query by similarity, nearest first, with their values.
    fn settle(&mut self, row: usize, scratch: &mut Scratch<T>) {
        let Some(exact) = self.exact else { return };
        let (query, list) = (self.first + row, self.list(row));
        let both = self.similarity[list.clone()].iter().zip(&self.indices[list]);
        scratch.exact.clear();
        scratch.exact.extend(both.map(|(&value, &i)| (exact.similarity(query, i).key(i), value)));
        self.compared[row] += scratch.exact.len() as u32;
        scratch.exact.sort_unstable_by_key(|best| std::cmp::Reverse(best.0));
        scratch.exact.truncate(self.k);
        let start = row * self.room;
        for (at, &(key, value)) in scratch.exact.iter().enumerate() {
            (self.similarity[start + at], self.indices[start + at]) = (value, f64::of_key(key).1);
        }
        self.counts[row] = scratch.exact.len() as u32;
        if let Some(&(least, _)) = scratch.exact.get(self.k - 1) {
            let bar = exact.slack.below(query, f64::of_key(least).0);
            self.bars[row] = if bar > self.bars[row] { bar } else { self.bars[row] };
        }
    }

    /// Leaves the best k of every query, nearest first, with their similarity.
    pub(super) fn finish(&mut self, scratch: &mut Scratch<T>) {
        for row in 0..self.counts.len() {
            self.prune(row, scratch);
        }
        match self.exact {
            Some(exact) => self.decide(exact),
            None => {
                for row in 0..self.counts.len() {
                    let list = self.list(row);
                    scratch.keys.clear();
                    let both = self.similarity[list.clone()].iter().zip(&self.indices[list.clone()]);
                    scratch.keys.extend(both.map(|(v, &i)| v.key(i)));
                    scratch.keys.sort_unstable_by(|a, b| b.cmp(a));
                    for (at, &key) in list.zip(&scratch.keys) {
                        (self.similarity[at], self.indices[at]) = T::of_key(key);
                    }
                }
            }
        }
    }
}

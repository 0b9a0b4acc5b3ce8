use crate::Element;
use crate::pairwise::PairwiseSimilarity;
use crate::sweep::{self, Gather, Stop};

/// How candidates are decided whose values are not their similarity, but near it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact<'a, T> {
    pub(super) pairs: &'a PairwiseSimilarity<'a, T>,
    /// Which queries of the pairs these are, if not all.
    pub(super) rows: Option<&'a [usize]>,
    /// Of every query how far a value may be from the similarity.
    pub(super) margins: &'a [f64],
    /// Pairs that may be compared while the matrix streams by.
    pub(super) most: usize,
}

impl<T: Element> Exact<'_, T> {
    fn similarity(&self, query: usize, row: u32) -> f64 {
        self.pairs.similarity(self.rows.map_or(query, |rows| rows[query]), row as usize)
    }
}

/// The best candidates so far of all queries: `room` places each, of which the best `k` are kept when they are full, and what
/// cannot be told from them.
pub(super) struct Candidates<'a, T> {
    pub(super) k: usize,
    room: usize,
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
    exact: Vec<(<f64 as Element>::Key, T)>,
}

impl<T: Element> Default for Scratch<T> {
    fn default() -> Self {
        Self { keys: Vec::new(), exact: Vec::new() }
    }
}

/// Candidates beyond the best k that are gathered before the worst are thrown away.
const SPARE: usize = 54;

impl<'a, T: Element> Candidates<'a, T> {
    /// None yet for `queries` queries, of at most `gallery` candidates.
    pub(super) fn new(queries: usize, gallery: usize, k: usize, exact: Option<Exact<'a, T>>) -> Self {
        // Seldom enough for large k, and a fifth of the result's memory.
        let room = (k + SPARE.max(k / 5)).min(gallery.max(1));
        Self {
            k,
            room,
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

    /// Queries that have fewer than k, or of whose k best one might be below the bar that they started with.
    pub(super) fn short(&mut self, bars: &[T]) -> Vec<usize> {
        let mut short = Vec::new();
        let (k, mut values) = (self.k, Vec::new());
        for block in self.blocks(usize::MAX) {
            for (row, &bar) in bars.iter().enumerate() {
                values.clear();
                values.extend_from_slice(&block.similarity[block.list(row)]);
                let least = (values.len() >= k).then(|| {
                    // Values that are none have ended the pass.
                    let order = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal);
                    *values.select_nth_unstable_by(k - 1, order).1
                });
                if least.is_none_or(|least| block.unsure_from(row, least) < bar) {
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
        let (k, room, exact) = (self.k, self.room, self.exact);
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
            let bar = self.prune(row, &mut scratch.keys);
            self.bars[row] = if bar > self.bars[row] { bar } else { self.bars[row] };
            // Too many that values cannot tell apart: the list would be full again at once.
            if self.counts[row] as usize > self.k + (self.room - self.k) / 2 {
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

    /// From where on a value may be that of a row at least as near as one of this value. Two margins, and half a one for what is
    /// rounded here.
    pub(super) fn unsure_from(&self, row: usize, value: T) -> T {
        self.exact.map_or(value, |exact| T::narrow(value.wide() - 2.5 * exact.margins[self.first + row]))
    }

    /// Leaves the best k of a query by their values, in no order, and what may be as near; from what value on that is.
    fn prune(&mut self, row: usize, keys: &mut Vec<T::Key>) -> T {
        let list = self.list(row);
        keys.clear();
        keys.extend(self.similarity[list.clone()].iter().zip(&self.indices[list]).map(|(v, &i)| v.key(i)));
        if keys.len() <= self.k {
            return T::NEG_INFINITY;
        }
        let (_, &mut least, _) = keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        let bar = self.unsure_from(row, T::of_key(least).0);
        match self.exact {
            None => keys.truncate(self.k),
            Some(_) => keys.retain(|&key| T::of_key(key).0 >= bar),
        }
        let start = row * self.room;
        for (at, &key) in keys.iter().enumerate() {
            (self.similarity[start + at], self.indices[start + at]) = T::of_key(key);
        }
        self.counts[row] = keys.len() as u32;
        bar
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
        // A value farther than a margin below the k-th similarity is that of a row farther away; half a margin for rounding.
        if let Some(&(least, _)) = scratch.exact.get(self.k - 1) {
            let bar = T::narrow(f64::of_key(least).0 - 1.5 * exact.margins[query]);
            self.bars[row] = if bar > self.bars[row] { bar } else { self.bars[row] };
        }
    }

    /// Leaves the best k of every query, nearest first, with their similarity.
    pub(super) fn finish(&mut self, scratch: &mut Scratch<T>) {
        for row in 0..self.counts.len() {
            self.prune(row, &mut scratch.keys);
            self.settle(row, scratch);
            let start = row * self.room;
            match self.exact {
                Some(_) => {
                    for (at, &(key, _)) in scratch.exact.iter().enumerate() {
                        self.similarity[start + at] = T::narrow(f64::of_key(key).0);
                    }
                }
                None => {
                    scratch.keys.sort_unstable_by(|a, b| b.cmp(a));
                    for (at, &key) in scratch.keys.iter().enumerate() {
                        (self.similarity[start + at], self.indices[start + at]) = T::of_key(key);
                    }
                }
            }
        }
    }
}

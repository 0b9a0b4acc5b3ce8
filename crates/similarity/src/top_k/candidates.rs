use crate::Element;
use crate::sweep::{self, Gather, Stop};

/// The best candidates so far of all queries: `room` places each, of which the best `k` are kept when they are full.
pub(super) struct Candidates<T> {
    pub(super) k: usize,
    room: usize,
    similarity: Vec<T>,
    indices: Vec<u32>,
    counts: Vec<u32>,
    bars: Vec<T>,
}

/// The part of a block of queries.
pub(super) struct Block<'a, T> {
    first: usize,
    k: usize,
    room: usize,
    similarity: &'a mut [T],
    indices: &'a mut [u32],
    counts: &'a mut [u32],
    /// What is farther than this cannot be among a query's best.
    pub(super) bars: &'a mut [T],
}

/// Candidates beyond the best k that are gathered before the worst are thrown away.
const SPARE: usize = 54;

impl<T: Element> Candidates<T> {
    /// None yet for `queries` queries, of at most `gallery` candidates.
    pub(super) fn new(queries: usize, gallery: usize, k: usize) -> Self {
        // Seldom enough for large k, and a fifth of the result's memory.
        let room = (k + SPARE.max(k / 5)).min(gallery.max(1));
        Self {
            k,
            room,
            similarity: vec![T::ZERO; queries * room],
            indices: vec![0; queries * room],
            counts: vec![0; queries],
            bars: vec![T::NEG_INFINITY; queries],
        }
    }

    /// Queries that have fewer than k.
    pub(super) fn short(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&i| (self.counts[i] as usize) < self.k).collect()
    }

    /// A query's list becomes another's, which is of the same k.
    pub(super) fn replace(&mut self, query: usize, other: &Self, of: usize) {
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

impl<T: Element> Gather<T> for Candidates<T> {
    type Room = Vec<T::Key>;
    type Block<'b> = Block<'b, T>;

    /// The blocks of `size` queries each.
    fn blocks(&mut self, size: usize) -> Vec<Block<'_, T>> {
        let (k, room) = (self.k, self.room);
        self.similarity
            .chunks_mut(size * room)
            .zip(self.indices.chunks_mut(size * room))
            .zip(self.counts.chunks_mut(size).zip(self.bars.chunks_mut(size)))
            .enumerate()
            .map(|(at, ((similarity, indices), (counts, bars)))| Block {
                first: at * size,
                k,
                room,
                similarity,
                indices,
                counts,
                bars,
            })
            .collect()
    }
}

impl<T: Element> sweep::Block<T, Vec<T::Key>> for Block<'_, T> {
    fn first(&self) -> usize {
        self.first
    }

    fn bars(&self) -> &[T] {
        self.bars
    }

    #[inline]
    fn offer(&mut self, row: usize, value: T, column: usize, keys: &mut Vec<T::Key>) -> Result<(), Stop> {
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
            self.prune(row, keys);
            self.bars[row] = T::of_key(keys[self.k - 1]).0;
        }
        Ok(())
    }
}

impl<T: Element> Block<'_, T> {
    /// Leaves the best k of a query, in no order; their keys, of which the last one is the least.
    fn prune(&mut self, row: usize, keys: &mut Vec<T::Key>) {
        let list = row * self.room..row * self.room + self.counts[row] as usize;
        keys.clear();
        keys.extend(self.similarity[list.clone()].iter().zip(&self.indices[list]).map(|(v, &i)| v.key(i)));
        if keys.len() > self.k {
            keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
            keys.truncate(self.k);
        }
        self.put(row, keys);
    }

    fn put(&mut self, row: usize, keys: &[T::Key]) {
        let start = row * self.room;
        for (at, &key) in keys.iter().enumerate() {
            (self.similarity[start + at], self.indices[start + at]) = T::of_key(key);
        }
        self.counts[row] = keys.len() as u32;
    }

    /// Leaves the best k of every query, nearest first.
    pub(super) fn finish(&mut self, keys: &mut Vec<T::Key>) {
        for row in 0..self.counts.len() {
            self.prune(row, keys);
            keys.sort_unstable_by(|a, b| b.cmp(a));
            self.put(row, keys);
        }
    }
}

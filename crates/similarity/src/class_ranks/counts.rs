use crate::Element;
use crate::sweep::{self, Gather, Stop};
use rayon::prelude::*;
use std::cmp::Ordering;

/// A row of the gallery whose rank is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) similarity: f64,
    pub(super) row: u32,
}

impl Target {
    /// Whether this row comes before another one of which as much is known.
    fn is_before(&self, similarity: f64, row: u32) -> bool {
        self.similarity > similarity || self.similarity == similarity && self.row < row
    }
}

/// PairScores in f64 of a query and a row of the gallery.
pub(super) type Exact<'a> = &'a (dyn Fn(usize, usize) -> f64 + Sync);

/// How many rows come before each target and not before the one ahead of it, of queries from `first` on.
pub(super) struct Counts<'a, T> {
    first: usize,
    /// Where each query's targets start; one more entry than queries.
    starts: Vec<usize>,
    /// Of every query the nearest first.
    targets: Vec<Target>,
    ahead: Vec<u32>,
    /// How far a value may be from the similarity.
    margins: Vec<f64>,
    /// Values below cannot come before any target.
    bars: Vec<T>,
    /// Values too near a target, which were compared again.
    unsure: Vec<u32>,
    /// How to compare again, and how often at most.
    exact: Option<(Exact<'a>, usize)>,
}

impl<'a, T: Element> Counts<'a, T> {
    /// Nothing counted yet, of so many targets for each query.
    pub(super) fn new(
        first: usize,
        counts: &[usize],
        mut targets: Vec<Target>,
        margins: Vec<f64>,
        exact: Option<(Exact<'a>, usize)>,
    ) -> Self {
        let mut starts = vec![0];
        let mut bars = Vec::with_capacity(counts.len());
        for (&count, &margin) in counts.iter().zip(&margins) {
            let start = starts[starts.len() - 1];
            let own = &mut targets[start..start + count];
            // A NaN is met again in the pass, which ends there.
            let nearer = |a: &Target, b: &Target| b.similarity.partial_cmp(&a.similarity).unwrap_or(Ordering::Equal);
            own.sort_by(|a, b| nearer(a, b).then(a.row.cmp(&b.row)));
            bars.push(own.last().map_or(T::INFINITY, |last| T::narrow(last.similarity - margin)));
            starts.push(start + count);
        }
        let (ahead, unsure) = (vec![0; targets.len()], vec![0; counts.len()]);
        Self { first, starts, targets, ahead, margins, bars, unsure, exact }
    }

    /// What `f` makes of every query and the ranks of its targets, ascending.
    pub(super) fn map<R: Send>(&self, f: &(impl Fn(usize, &[usize]) -> R + Sync)) -> Vec<R> {
        let ranks = |ranks: &mut Vec<usize>, query: usize| {
            let own = &self.ahead[self.starts[query]..self.starts[query + 1]];
            ranks.clear();
            let mut others = 0;
            ranks.extend(own.iter().enumerate().map(|(at, &ahead)| {
                others += ahead as usize;
                at + 1 + others
            }));
            f(self.first + query, ranks)
        };
        (0..self.margins.len()).into_par_iter().map_init(Vec::new, ranks).collect()
    }
}

/// The part of a block of queries.
pub(super) struct Block<'b, T> {
    first: usize,
    starts: &'b [usize],
    targets: &'b [Target],
    ahead: &'b mut [u32],
    margins: &'b [f64],
    bars: &'b [T],
    unsure: &'b mut [u32],
    exact: Option<Exact<'b>>,
}

impl<T: Element> Gather<T> for Counts<'_, T> {
    type Room = ();
    type Block<'b>
        = Block<'b, T>
    where
        Self: 'b;

    fn blocks(&mut self, size: usize) -> Vec<Block<'_, T>> {
        let (mut rest, mut unsure) = (&mut self.ahead[..], &mut self.unsure[..]);
        let mut blocks = Vec::new();
        for first in (0..self.margins.len()).step_by(size) {
            let queries = first..self.margins.len().min(first + size);
            let targets = self.starts[queries.start]..self.starts[queries.end];
            let (ahead, others) = std::mem::take(&mut rest).split_at_mut(targets.len());
            let (own, more) = std::mem::take(&mut unsure).split_at_mut(queries.len());
            (rest, unsure) = (others, more);
            blocks.push(Block {
                first,
                starts: &self.starts[queries.start..=queries.end],
                targets: &self.targets[targets],
                ahead,
                margins: &self.margins[queries.clone()],
                bars: &self.bars[queries],
                unsure: own,
                exact: self.exact.map(|(exact, _)| exact),
            });
        }
        blocks
    }

    fn go_on(&self) -> Result<(), Stop> {
        let Some((_, most)) = self.exact else { return Ok(()) };
        let unsure: usize = self.unsure.iter().map(|&n| n as usize).sum();
        if unsure > most { Err(Stop::Given) } else { Ok(()) }
    }
}

impl<T: Element> sweep::Block<T, ()> for Block<'_, T> {
    fn first(&self) -> usize {
        self.first
    }

    fn bars(&self) -> &[T] {
        self.bars
    }

    #[inline]
    fn offer(&mut self, row: usize, value: T, column: usize, (): &mut ()) -> Result<(), Stop> {
        if value < self.bars[row] {
            return Ok(());
        }
        if !value.wide().is_finite() {
            return Err(Stop::Overflow(self.first + row));
        }
        let own = self.starts[row] - self.starts[0]..self.starts[row + 1] - self.starts[0];
        let (targets, ahead) = (&self.targets[own.clone()], &mut self.ahead[own]);
        let (value, margin) = (value.wide(), self.margins[row]);
        let mut at = targets.partition_point(|t| t.similarity > value + margin);
        if targets.get(at).is_some_and(|t| t.similarity >= value - margin) {
            let similarity = match self.exact {
                Some(exact) => {
                    self.unsure[row] += 1;
                    exact(self.first + row, column)
                }
                None => value,
            };
            at = targets.partition_point(|t| t.is_before(similarity, column as u32));
        }
        // Behind the last target nothing is counted.
        if let Some(ahead) = ahead.get_mut(at) {
            *ahead += 1;
        }
        Ok(())
    }
}

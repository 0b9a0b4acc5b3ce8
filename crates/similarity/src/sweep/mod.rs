//! One pass over the whole matrix in which every query looks only at what is not below a bar of its own: what a query gathers,
//! and how its bar moves, is the gatherer's affair.

mod above;
mod rounds;

use crate::tiles::{Matrix, Tiles, blocks};
use crate::{Element, Rows};
use above::{Scan, above};
use npair_simd::Panels;
use npair_types::Measure;
use rayon::prelude::*;
use rounds::rounds;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a block of a set that meets itself: enough blocks that every round keeps many cores busy.
const BLOCK: std::ops::RangeInclusive<usize> = 128..=1024;
const BLOCKS: usize = 32;

/// Queries of a task.
pub(crate) const QUERIES: usize = 168;

/// Values of the gallery that are packed at a time, and bytes up to which all are packed once.
const PACKED: usize = 1 << 21;
const ALL: usize = 128 << 20;

/// Why a pass ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Products of this query are not finite.
    Overflow(usize),
    /// The gatherer has seen enough to know that this is not the way.
    Given,
}

/// What all queries gather.
pub(crate) trait Gather<T> {
    /// What a task may use meanwhile.
    type Room: Default;
    /// The part of a block of queries.
    type Block<'b>: Block<T, Self::Room>
    where
        Self: 'b;

    /// The blocks of `size` queries each.
    fn blocks(&mut self, size: usize) -> Vec<Self::Block<'_>>;

    /// Asked now and then, at places that do not depend on the number of threads: whether to go on.
    fn go_on(&self) -> Result<(), Stop> {
        Ok(())
    }
}

/// What a block of queries gathers.
pub(crate) trait Block<T, R>: Send {
    /// The first query.
    fn first(&self) -> usize;
    /// For every query, below what it does not look.
    fn bars(&self) -> &[T];
    /// The block's `row`-th query looks at a value. Whoever calls has looked at the bar; it may have risen since.
    fn offer(&mut self, row: usize, value: T, column: usize, room: &mut R) -> Result<(), Stop>;
}

/// Room of a task: for a tile, for the places where to look, and the gatherer's own.
struct Room<T, R> {
    tile: Vec<T>,
    found: Vec<(u32, u32)>,
    own: R,
}

impl<T, R: Default> Room<T, R> {
    fn new() -> Self {
        Self { tile: Vec::new(), found: Vec::new(), own: R::default() }
    }
}

/// Two blocks by their places, that meet.
type Pair<B> = (usize, usize, B, B);

/// The matrix of queries and a gallery, and which entries nobody looks at.
pub(crate) struct Sweep<'a, T, S, M = Tiles<'a, T>> {
    pub(crate) tiles: M,
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    /// Whether a query (by its place) does not see a row of the gallery.
    skip: S,
}

impl<'a, T: Element, S: Fn(usize, usize) -> bool + Sync> Sweep<'a, T, S> {
    /// In f32 whoever gathers knows how far values may be from the similarity, and looks at near rows again.
    pub(crate) fn new(queries: Rows<'a, T>, gallery: Rows<'a, T>, measure: Measure, skip: S) -> Self {
        Self::of_tiles(Tiles::new(queries, gallery, measure), queries, gallery, skip)
    }

    /// The same of given tiles of these sides.
    pub(crate) fn of_tiles(tiles: Tiles<'a, T>, queries: Rows<'a, T>, gallery: Rows<'a, T>, skip: S) -> Self {
        let tiles = if T::EPSILON > f64::EPSILON { tiles.unrefined() } else { tiles };
        Self::of_matrix(tiles, queries, gallery, skip)
    }
}

impl<'a, T: Element, S: Fn(usize, usize) -> bool + Sync, M: Matrix<T>> Sweep<'a, T, S, M> {
    /// The same of any matrix of these sides.
    pub(crate) fn of_matrix(tiles: M, queries: Rows<'a, T>, gallery: Rows<'a, T>, skip: S) -> Self {
        Self { tiles, queries, gallery, skip }
    }

    /// Every query looks once at everything. Of a set that meets itself every product is taken once, for both its rows.
    pub(crate) fn run<G: Gather<T>>(&self, all: &mut G) -> Result<(), Stop> {
        let itself = self.queries.as_slice().as_ptr() == self.gallery.as_slice().as_ptr()
            && self.queries.len() == self.gallery.len();
        if itself { self.in_itself(all) } else { self.in_gallery(all) }
    }

    /// The same, where every query meets the gallery in its order.
    pub(crate) fn in_gallery<G: Gather<T>>(&self, all: &mut G) -> Result<(), Stop> {
        for columns in blocks(self.gallery.len(), (PACKED / self.tiles.steps()).clamp(64, 1 << 14)) {
            let right = self.tiles.packed(columns.clone());
            let task = |room: &mut Room<T, G::Room>, mut block: G::Block<'_>| {
                let rows = block.first()..block.first() + block.bars().len();
                self.meet(rows, columns.start, &right, &mut block, None, room)
            };
            first_stop(all.blocks(QUERIES).into_par_iter().map_init(Room::new, task).collect())?;
            all.go_on()?;
        }
        Ok(())
    }

    fn in_itself<G: Gather<T>>(&self, all: &mut G) -> Result<(), Stop> {
        let n = self.queries.len();
        let size = n.div_ceil(BLOCKS).clamp(*BLOCK.start(), *BLOCK.end());
        let ranges = blocks(n, size);
        let packed: Option<Vec<Arc<Panels<T>>>> = (self.gallery.len() * self.tiles.steps() * size_of::<T>() <= ALL)
            .then(|| ranges.iter().map(|columns| Arc::new(self.tiles.packed(columns.clone()))).collect());
        let right = |at: usize| match &packed {
            Some(all) => all[at].clone(),
            None => Arc::new(self.tiles.packed(ranges[at].clone())),
        };
        let alone = |room: &mut Room<T, G::Room>, (at, mut block): (usize, G::Block<'_>)| {
            self.meet(ranges[at].clone(), ranges[at].start, &right(at), &mut block, None, room)
        };
        first_stop(all.blocks(size).into_par_iter().enumerate().map_init(Room::new, alone).collect())?;
        for round in rounds(ranges.len()) {
            all.go_on()?;
            let mut waiting: Vec<Option<G::Block<'_>>> = all.blocks(size).into_iter().map(Some).collect();
            let pairs: Vec<Pair<G::Block<'_>>> =
                round.into_iter().filter_map(|(a, b)| Some((a, b, waiting[a].take()?, waiting[b].take()?))).collect();
            let both = |room: &mut Room<T, G::Room>, (a, b, mut rows, mut columns): Pair<G::Block<'_>>| {
                self.meet(ranges[a].clone(), ranges[b].start, &right(b), &mut rows, Some(&mut columns), room)
            };
            first_stop(pairs.into_par_iter().map_init(Room::new, both).collect())?;
        }
        all.go_on()
    }

    /// Queries meet what is packed of the gallery from row `first` on; if that is a block of queries too, it gets its share.
    #[allow(clippy::too_many_arguments, reason = "two blocks that meet, each with its rows and its result")]
    fn meet<R, B: Block<T, R>>(
        &self,
        rows: Range<usize>,
        first: usize,
        right: &Panels<T>,
        block: &mut B,
        mut other: Option<&mut B>,
        room: &mut Room<T, R>,
    ) -> Result<(), Stop> {
        let Room { tile: buffer, found, own } = room;
        // Above everything: no column is looked at for the sake of its own list.
        let nothing = vec![T::INFINITY; right.columns.panels.first().map_or(0, |p| p.2.columns)];
        let mut result = Ok(());
        for part in blocks(rows.len(), QUERIES) {
            let part = rows.start + part.start..rows.start + part.end;
            self.tiles.tiles(part, first, right, buffer, |tile| {
                let (top, from) = (tile.rows.start - rows.start, tile.columns.start - first);
                let scan = Scan {
                    values: tile.values,
                    step: tile.step,
                    count: tile.columns.len(),
                    rows: &block.bars()[top..],
                    columns: other.as_ref().map_or(&nothing[..], |other| &other.bars()[from..]),
                };
                above(scan, found);
                for &(r, c) in &*found {
                    let (r, c) = (r as usize, c as usize);
                    let (row, column, value) =
                        (tile.rows.start + r, tile.columns.start + c, tile.values[r * tile.step + c]);
                    if !(self.skip)(row, column) {
                        let offered = block.offer(top + r, value, column, own);
                        result = result.and(offered);
                    }
                    if let Some(other) = &mut other
                        && !(self.skip)(column, row)
                    {
                        let offered = other.offer(from + c, value, row, own);
                        result = result.and(offered);
                    }
                }
            });
        }
        result
    }
}

/// The first query whose products overflow, whatever the order of the tasks.
fn first_stop(tasks: Vec<Result<(), Stop>>) -> Result<(), Stop> {
    tasks.into_iter().filter_map(Result::err).min().map_or(Ok(()), Err)
}

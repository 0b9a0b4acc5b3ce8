use super::Exclude;
use super::candidates::{Block, Candidates, Overflow, Scan, above};
use super::rounds::rounds;
use crate::tiles::{Tiles, blocks};
use crate::{Element, Rows};
use npair_simd::Panels;
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a block of a set searched in itself: enough blocks that every round keeps many cores busy.
const BLOCK: std::ops::RangeInclusive<usize> = 128..=1024;
const BLOCKS: usize = 32;

/// Queries of a task.
const QUERIES: usize = 168;

/// Values of the gallery that are packed at a time, and bytes up to which all are packed once.
const PACKED: usize = 1 << 21;
const ALL: usize = 128 << 20;

/// For large k the bar of a query is guessed from its closeness to so many rows of the gallery.
const SAMPLE: usize = 1024;
const LARGE: usize = 64;

/// Which queries and which gallery, and what is left out.
pub(super) struct Search<'a, T> {
    tiles: Tiles<'a, T>,
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    measure: Measure,
    exclude: Exclude<'a>,
    /// The number of every query where they are not all.
    numbers: Option<&'a [usize]>,
}

/// What a task needs beside its rows.
struct Room<T: Element> {
    tile: Vec<T>,
    found: Vec<(u32, u32)>,
    keys: Vec<T::Key>,
}

impl<T: Element> Room<T> {
    fn new() -> Self {
        Self { tile: Vec::new(), found: Vec::new(), keys: Vec::new() }
    }
}

/// (where each list starts, indices, closeness)
type Lists<T> = (Vec<usize>, Vec<u32>, Vec<T>);

impl<'a, T: Element> Search<'a, T> {
    pub(super) fn new(queries: Rows<'a, T>, gallery: Rows<'a, T>, measure: Measure, exclude: Exclude<'a>) -> Self {
        Self { tiles: Tiles::new(queries, gallery, measure), queries, gallery, measure, exclude, numbers: None }
    }

    /// The best k of every query, or the first query whose products overflow.
    pub(super) fn run(&self, k: usize) -> Result<Lists<T>, usize> {
        let mut all = Candidates::new(self.queries.len(), self.gallery.len(), k);
        let guessed = self.guess(&mut all);
        self.gather(&mut all).map_err(|e| e.row)?;
        let short = if guessed { all.short() } else { Vec::new() };
        if !short.is_empty() {
            self.again(&mut all, &short).map_err(|e| short[e.row])?;
        }
        all.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |keys, mut block| block.finish(keys));
        Ok(all.into_lists())
    }

    fn gather(&self, all: &mut Candidates<T>) -> Result<(), Overflow> {
        let itself = self.queries.as_slice().as_ptr() == self.gallery.as_slice().as_ptr()
            && self.queries.len() == self.gallery.len();
        if itself { self.in_itself(all) } else { self.in_gallery(all) }
    }

    /// Bars for large k, so that not every query's list starts with what comes first: the closeness that the sample has at
    /// three standard deviations beyond the k-th best's expected place. A bar that proves too high is found by a short list.
    fn guess(&self, all: &mut Candidates<T>) -> bool {
        let (n, k) = (self.gallery.len(), all.k);
        if k < LARGE || n < 8 * SAMPLE || k > n / 8 {
            return false;
        }
        let expected = k as f64 * SAMPLE as f64 / n as f64;
        let place = (expected + 3. * expected.sqrt()).ceil() as usize;
        let width = self.gallery.width();
        let sample: Vec<T> = (0..SAMPLE).flat_map(|i| self.gallery.row(i * n / SAMPLE)).copied().collect();
        let tiles = Tiles::new(self.queries, Rows::trusted(&sample, width), self.measure);
        let right = tiles.packed(0..SAMPLE);
        all.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |buffer, block| {
            let rows = block.first()..block.first() + block.bars.len();
            let mut lines = vec![Vec::with_capacity(SAMPLE); rows.len()];
            tiles.tiles(rows, 0, &right, buffer, |tile| {
                lines.iter_mut().zip(tile.lines()).for_each(|(all, (_, line))| all.extend_from_slice(line));
            });
            for (bar, line) in block.bars.iter_mut().zip(&mut lines) {
                // A NaN is found when it is met again.
                let order = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal);
                let (_, &mut at, _) = line.select_nth_unstable_by(place.min(SAMPLE - 1), order);
                *bar = if at.wide().is_finite() { at } else { T::NEG_INFINITY };
            }
        });
        true
    }

    /// The lists of queries whose bar was too high, without one.
    fn again(&self, all: &mut Candidates<T>, short: &[usize]) -> Result<(), Overflow> {
        let width = self.queries.width();
        let rows: Vec<T> = short.iter().flat_map(|&i| self.queries.row(i)).copied().collect();
        let search = Search {
            numbers: Some(short),
            ..Search::new(Rows::trusted(&rows, width), self.gallery, self.measure, self.exclude)
        };
        let mut lists = Candidates::new(short.len(), self.gallery.len(), all.k);
        search.in_gallery(&mut lists)?;
        lists.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |keys, mut block| block.finish(keys));
        short.iter().enumerate().for_each(|(of, &query)| all.replace(query, &lists, of));
        Ok(())
    }

    fn in_gallery(&self, all: &mut Candidates<T>) -> Result<(), Overflow> {
        for columns in blocks(self.gallery.len(), (PACKED / self.gallery.width()).clamp(64, 1 << 14)) {
            let right = self.tiles.packed(columns.clone());
            let task = |room: &mut Room<T>, mut block: Block<T>| {
                let rows = block.first()..block.first() + block.bars.len();
                self.meet(rows, columns.start, &right, &mut block, None, room)
            };
            first_overflow(all.blocks(QUERIES).into_par_iter().map_init(Room::new, task).collect())?;
        }
        Ok(())
    }

    fn in_itself(&self, all: &mut Candidates<T>) -> Result<(), Overflow> {
        let n = self.queries.len();
        let size = n.div_ceil(BLOCKS).clamp(*BLOCK.start(), *BLOCK.end());
        let ranges = blocks(n, size);
        let packed: Option<Vec<Arc<Panels<T>>>> = (size_of_val(self.gallery.as_slice()) <= ALL)
            .then(|| ranges.iter().map(|columns| Arc::new(self.tiles.packed(columns.clone()))).collect());
        let right = |at: usize| match &packed {
            Some(all) => all[at].clone(),
            None => Arc::new(self.tiles.packed(ranges[at].clone())),
        };
        let alone = |room: &mut Room<T>, (at, mut block): (usize, Block<T>)| {
            self.meet(ranges[at].clone(), ranges[at].start, &right(at), &mut block, None, room)
        };
        first_overflow(all.blocks(size).into_par_iter().enumerate().map_init(Room::new, alone).collect())?;
        for round in rounds(ranges.len()) {
            let mut waiting: Vec<Option<Block<T>>> = all.blocks(size).into_iter().map(Some).collect();
            let pairs: Vec<_> =
                round.into_iter().filter_map(|(a, b)| Some((a, b, waiting[a].take()?, waiting[b].take()?))).collect();
            let both = |room: &mut Room<T>, (a, b, mut rows, mut columns): (usize, usize, Block<T>, Block<T>)| {
                self.meet(ranges[a].clone(), ranges[b].start, &right(b), &mut rows, Some(&mut columns), room)
            };
            first_overflow(pairs.into_par_iter().map_init(Room::new, both).collect())?;
        }
        Ok(())
    }

    /// Queries meet what is packed of the gallery from row `first` on; if that is a block of queries too, it gets its share.
    fn meet(
        &self,
        rows: Range<usize>,
        first: usize,
        right: &Panels<T>,
        block: &mut Block<T>,
        mut other: Option<&mut Block<T>>,
        room: &mut Room<T>,
    ) -> Result<(), Overflow> {
        let Room { tile: buffer, found, keys } = room;
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
                    rows: &block.bars[top..],
                    columns: other.as_ref().map_or(&nothing[..], |other| &other.bars[from..]),
                };
                above(scan, found);
                for &(r, c) in &*found {
                    let (r, c) = (r as usize, c as usize);
                    let (row, column, value) =
                        (tile.rows.start + r, tile.columns.start + c, tile.values[r * tile.step + c]);
                    if !self.excluded(row, column) {
                        let offered = block.offer(top + r, value, column as u32, keys);
                        result = result.and(offered);
                    }
                    if let Some(other) = &mut other
                        && !self.excluded(column, row)
                    {
                        let offered = other.offer(from + c, value, row as u32, keys);
                        result = result.and(offered);
                    }
                }
            });
        }
        result
    }

    fn excluded(&self, query: usize, column: usize) -> bool {
        self.exclude.hits(self.numbers.map_or(query, |numbers| numbers[query]), column)
    }
}

/// The first query whose products overflow, whatever the order of the tasks.
fn first_overflow(tasks: Vec<Result<(), Overflow>>) -> Result<(), Overflow> {
    tasks.into_iter().filter_map(Result::err).min().map_or(Ok(()), Err)
}

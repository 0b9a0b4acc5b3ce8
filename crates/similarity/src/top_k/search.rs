use super::Exclude;
use super::candidates::Candidates;
use crate::sweep::{Block, Gather, QUERIES, Stop, Sweep};
use crate::tiles::Tiles;
use crate::{Element, Rows};
use npair_types::Measure;
use rayon::prelude::*;

/// For large k the bar of a query is guessed from its similarity to so many rows of the gallery.
const SAMPLE: usize = 1024;
const LARGE: usize = 64;

/// Which queries and which gallery, and what is left out.
pub(super) struct Search<'a, T> {
    pub(super) queries: Rows<'a, T>,
    pub(super) gallery: Rows<'a, T>,
    pub(super) measure: Measure,
    pub(super) exclude: Exclude<'a>,
}

/// (where each list starts, indices, similarity)
type Lists<T> = (Vec<usize>, Vec<u32>, Vec<T>);

/// The query whose products overflow.
fn overflowed(stop: Stop) -> usize {
    match stop {
        Stop::Overflow(row) => row,
        Stop::Given => 0,
    }
}

impl<T: Element> Search<'_, T> {
    /// The best k of every query, or the first query whose products overflow.
    pub(super) fn run(&self, k: usize) -> Result<Lists<T>, usize> {
        let mut all = Candidates::new(self.queries.len(), self.gallery.len(), k);
        let guessed = self.guess(&mut all);
        let skip = |query: usize, column: usize| self.exclude.hits(query, column);
        Sweep::new(self.queries, self.gallery, self.measure, skip).run(&mut all).map_err(overflowed)?;
        let short = if guessed { all.short() } else { Vec::new() };
        if !short.is_empty() {
            self.again(&mut all, &short).map_err(|e| short[overflowed(e)])?;
        }
        all.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |keys, mut block| block.finish(keys));
        Ok(all.into_lists())
    }

    /// Bars for large k, so that not every query's list starts with what comes first: the similarity that the sample has at
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
    fn again(&self, all: &mut Candidates<T>, short: &[usize]) -> Result<(), Stop> {
        let width = self.queries.width();
        let rows: Vec<T> = short.iter().flat_map(|&i| self.queries.row(i)).copied().collect();
        let skip = |query: usize, column: usize| self.exclude.hits(short[query], column);
        let mut lists = Candidates::new(short.len(), self.gallery.len(), all.k);
        Sweep::new(Rows::trusted(&rows, width), self.gallery, self.measure, skip).in_gallery(&mut lists)?;
        lists.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |keys, mut block| block.finish(keys));
        short.iter().enumerate().for_each(|(of, &query)| all.replace(query, &lists, of));
        Ok(())
    }
}

use super::Exclude;
use super::candidates::{Candidates, Exact, Scratch};
use crate::pairwise::PairwiseSimilarity;
use crate::seen_from::center;
use crate::sweep::{Block, Gather, QUERIES, Stop, Sweep};
use crate::tiles::Tiles;
use crate::{Element, Rows};
use npair_types::Measure;
use rayon::prelude::*;

/// Of every so many pairs one may be compared by itself while the matrix streams by; with more of them the whole matrix in f64 is
/// faster.
const UNSURE: usize = 32;

/// For large k the bar of a query is guessed from its similarity to so many rows of the gallery.
const SAMPLE: usize = 1024;
const LARGE: usize = 64;

/// Which queries and which gallery, and what is left out.
pub(super) struct Search<'a, T> {
    pub(super) queries: Rows<'a, T>,
    pub(super) gallery: Rows<'a, T>,
    pub(super) measure: Measure,
    pub(super) exclude: Exclude<'a>,
    /// Where similarity comes from, if not from the matrix: the sides as they came.
    pub(super) pairs: Option<&'a PairwiseSimilarity<'a, T>>,
}

/// (where each list starts, indices, similarity)
pub(super) type Lists<T> = (Vec<usize>, Vec<u32>, Vec<T>);

/// The query whose products overflow.
pub(super) fn overflowed(stop: Stop) -> usize {
    match stop {
        Stop::Overflow(row) => row,
        Stop::Given => 0,
    }
}

impl<T: Element> Search<'_, T> {
    /// The best k of every query, or why the pass ended.
    pub(super) fn run(&self, k: usize) -> Result<Lists<T>, Stop> {
        let skip = |query: usize, column: usize| self.exclude.hits(query, column);
        let sweep = Sweep::new(self.queries, self.gallery, self.measure, skip);
        let margins = self.pairs.map(|pairs| pairs.margins(&sweep.tiles));
        let exact = self.pairs.zip(margins.as_deref()).map(|(pairs, margins)| Exact {
            pairs,
            rows: None,
            margins,
            most: self.queries.len() * self.gallery.len() / UNSURE,
        });
        let mut all = Candidates::new(self.queries.len(), self.gallery.len(), k, exact);
        let guessed = self.guess(&mut all).then(|| all.bars().to_vec());
        sweep.run(&mut all)?;
        let short = guessed.map_or(Vec::new(), |bars| all.short(&bars));
        if !short.is_empty() {
            self.again(&mut all, &short, exact)?;
        }
        all.blocks(QUERIES).into_par_iter().for_each_init(Scratch::default, |keys, mut block| block.finish(keys));
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
        // Their bars are no more than guesses: near rows need no second look.
        let tiles = Tiles::new(self.queries, Rows::trusted(&sample, width), self.measure).unrefined();
        let right = tiles.packed(0..SAMPLE);
        all.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |buffer, block| {
            let rows = block.first()..block.first() + block.bars.len();
            let mut lines = vec![Vec::with_capacity(SAMPLE); rows.len()];
            tiles.tiles(rows, 0, &right, buffer, |tile| {
                lines.iter_mut().zip(tile.lines()).for_each(|(all, (_, line))| all.extend_from_slice(line));
            });
            for (row, line) in lines.iter_mut().enumerate() {
                // A NaN is found when it is met again.
                let order = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal);
                let (_, &mut at, _) = line.select_nth_unstable_by(place.min(SAMPLE - 1), order);
                block.bars[row] = if at.wide().is_finite() { block.unsure_from(row, at) } else { T::NEG_INFINITY };
            }
        });
        true
    }

    /// The lists of queries whose bar was too high, without one.
    fn again(&self, all: &mut Candidates<T>, short: &[usize], exact: Option<Exact<T>>) -> Result<(), Stop> {
        let width = self.queries.width();
        let rows: Vec<T> = short.iter().flat_map(|&i| self.queries.row(i)).copied().collect();
        let skip = |query: usize, column: usize| self.exclude.hits(short[query], column);
        let margins: Vec<f64> = exact.iter().flat_map(|exact| short.iter().map(|&i| exact.margins[i])).collect();
        let exact = exact.map(|Exact { pairs, most, .. }| Exact { pairs, rows: Some(short), margins: &margins, most });
        let mut lists = Candidates::new(short.len(), self.gallery.len(), all.k, exact);
        // Rows of this side alone may be seen from another point: both sides have to stay whole.
        let center = center(self.queries, self.gallery, self.measure);
        let (queries, gallery) = (Rows::trusted(&rows, width), self.gallery);
        let tiles = Tiles::seen_from(queries, gallery, self.measure, center.as_deref());
        let found = Sweep::of_tiles(tiles, queries, gallery, skip).in_gallery(&mut lists);
        found.map_err(|stop| match stop {
            Stop::Overflow(row) => Stop::Overflow(short[row]),
            Stop::Given => Stop::Given,
        })?;
        lists.blocks(QUERIES).into_par_iter().for_each_init(Scratch::default, |keys, mut block| block.finish(keys));
        short.iter().enumerate().for_each(|(of, &query)| all.replace(query, &lists, of));
        Ok(())
    }
}

use super::Unseen;
use super::candidates::{Candidates, Exact, Scratch, Slack};
use crate::coarse::Coarse;
use crate::pairwise::PairwiseSimilarity;
use crate::seen_from::center;
use crate::sweep::{Block, Gather, QUERIES, Stop, Sweep};
use crate::tiles::{Matrix, Tile, Tiles};
use crate::{Element, Rows};
use npair_simd::Panels;
use npair_types::Measure;
use rayon::prelude::*;
use std::ops::Range;

/// Of every so many pairs one may be compared by itself while the matrix streams by; with more of them the whole matrix in f64 is
/// faster. Of the coarse matrix fewer: products in f32 come next, and cost little more.
const UNSURE: usize = 32;
const UNSURE_OF_COARSE: usize = 128;

/// For large k the bar of a query is guessed from its similarity to so many rows of the gallery.
const SAMPLE: usize = 1024;
const LARGE: usize = 64;

/// Queries whose lists are decided together: their rows stay in the second cache.
const DECIDED: usize = 256;

/// Which queries and which gallery, and what is left out.
pub(super) struct Search<'a, T> {
    pub(super) queries: Rows<'a, T>,
    pub(super) gallery: Rows<'a, T>,
    pub(super) measure: Measure,
    pub(super) exclude: Unseen<'a>,
    /// Where similarity comes from, if not from the matrix: the sides as they came.
    pub(super) pairs: Option<&'a PairwiseSimilarity<'a, T>>,
    /// What candidates are found by, if not by products of the sides.
    pub(super) coarse: Option<Coarse<T>>,
    /// Of every query the similarity below which nobody looks, if it is known before.
    pub(super) known: Option<&'a [f64]>,
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

/// What candidates are found by.
enum Values<'a, T> {
    Products(Tiles<'a, T>),
    Coarse(Coarse<T>),
}

impl<T: Element> Matrix<T> for Values<'_, T> {
    fn steps(&self) -> usize {
        match self {
            Self::Products(tiles) => tiles.steps(),
            Self::Coarse(coarse) => coarse.steps(),
        }
    }

    fn packed(&self, columns: Range<usize>) -> Panels<T> {
        match self {
            Self::Products(tiles) => tiles.packed(columns),
            Self::Coarse(coarse) => coarse.packed(columns),
        }
    }

    fn tiles(
        &self,
        rows: Range<usize>,
        first: usize,
        right: &Panels<T>,
        buffer: &mut Vec<T>,
        visit: impl FnMut(Tile<T>),
    ) {
        match self {
            Self::Products(tiles) => tiles.tiles(rows, first, right, buffer, visit),
            Self::Coarse(coarse) => coarse.tiles(rows, first, right, buffer, visit),
        }
    }
}

impl<'a, T: Element> Search<'a, T> {
    /// The best k of every query, or why the pass ended.
    pub(super) fn run(&self, k: usize) -> Result<Lists<T>, Stop> {
        let values = match &self.coarse {
            Some(coarse) => Values::Coarse(coarse.clone()),
            None => Values::Products(self.products(self.queries)),
        };
        let margins = match &values {
            Values::Products(tiles) => self.pairs.map(|pairs| pairs.margins(tiles)).unwrap_or_default(),
            Values::Coarse(_) => Vec::new(),
        };
        let exact = self.pairs.map(|pairs| {
            let (slack, one) = match &self.coarse {
                Some(coarse) => (Slack::Coarse(coarse), UNSURE_OF_COARSE),
                None => (Slack::Margins(&margins), UNSURE),
            };
            let most = self.queries.len() * self.gallery.len() / one;
            Exact { pairs, rows: None, slack, most, thins: self.coarse.is_some() && pairs.is_tame() }
        });
        let skip = |query: usize, column: usize| self.exclude.hits(query, column);
        let mut all = Candidates::new(self.queries.len(), self.gallery.len(), k, exact);
        let guessed = match self.known {
            Some(known) => {
                all.start_from(known);
                None
            }
            None => self.guess(&mut all).then(|| all.bars().to_vec()),
        };
        Sweep::of_matrix(values, self.queries, self.gallery, skip).run(&mut all)?;
        let short = guessed.map_or(Vec::new(), |bars| all.short(&bars));
        if !short.is_empty() {
            self.again(&mut all, &short, exact)?;
        }
        all.blocks(DECIDED).into_par_iter().for_each_init(Scratch::default, |keys, mut block| block.finish(keys));
        Ok(all.into_lists())
    }

    /// The matrix of some queries, seen from where all are: rows of a part alone may be seen from another point. Near rows are looked
    /// at again by whoever gathers, in f32.
    fn products<'q>(&self, queries: Rows<'q, T>) -> Tiles<'q, T>
    where
        'a: 'q,
    {
        let center = center(self.queries, self.gallery, self.measure);
        let tiles = Tiles::seen_from(queries, self.gallery, self.measure, center.as_deref());
        if T::EPSILON > f64::EPSILON { tiles.unrefined() } else { tiles }
    }

    /// Bars for large k, so that not every query's list starts with what comes first: the similarity that the sample has at
    /// three standard deviations beyond the k-th best's expected place. A bar that proves too high is found by a short list.
    fn guess(&self, all: &mut Candidates<T>) -> bool {
        let (n, k) = (self.gallery.len(), all.k);
        if k < LARGE && self.coarse.is_none() || n < 8 * SAMPLE || k > n / 8 {
            return false;
        }
        let expected = k as f64 * SAMPLE as f64 / n as f64;
        let place = (expected + 3. * expected.sqrt()).ceil() as usize;
        let width = self.gallery.width();
        let places: Vec<usize> = (0..SAMPLE).map(|i| i * n / SAMPLE).collect();
        let sample: Vec<T> = match &self.coarse {
            Some(_) => Vec::new(),
            None => places.iter().flat_map(|&i| self.gallery.row(i)).copied().collect(),
        };
        let values = match &self.coarse {
            Some(coarse) => Values::Coarse(coarse.of_gallery(&places)),
            // Their bars are no more than guesses: near rows need no second look.
            None => {
                let sample = Rows::trusted(&sample, width);
                Values::Products(Tiles::new(self.queries, sample, self.measure).unrefined())
            }
        };
        let right = values.packed(0..SAMPLE);
        all.blocks(QUERIES).into_par_iter().for_each_init(Vec::new, |buffer, block| {
            let rows = block.first()..block.first() + block.bars.len();
            let mut lines = vec![Vec::with_capacity(SAMPLE); rows.len()];
            values.tiles(rows, 0, &right, buffer, |tile| {
                lines.iter_mut().zip(tile.lines()).for_each(|(all, (_, line))| all.extend_from_slice(line));
            });
            for (row, line) in lines.iter_mut().enumerate() {
                // A NaN is found when it is met again.
                let order = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal);
                let (_, &mut at, _) = line.select_nth_unstable_by(place.min(SAMPLE - 1), order);
                // As if it were that of the sample's first row: a guess too.
                block.bars[row] = if at.wide().is_finite() { block.least(row, 0, at) } else { T::NEG_INFINITY };
            }
        });
        true
    }

    /// The lists of queries whose bar was too high, without one.
    fn again(&self, all: &mut Candidates<T>, short: &[usize], exact: Option<Exact<T>>) -> Result<(), Stop> {
        let width = self.queries.width();
        let rows: Vec<T> = short.iter().flat_map(|&i| self.queries.row(i)).copied().collect();
        let queries = Rows::trusted(&rows, width);
        let some = self.coarse.as_ref().map(|coarse| coarse.of_queries(short));
        let values = match &some {
            Some(coarse) => Values::Coarse(coarse.clone()),
            None => Values::Products(self.products(queries)),
        };
        let margins = match exact {
            Some(Exact { slack: Slack::Margins(margins), .. }) => short.iter().map(|&i| margins[i]).collect(),
            _ => Vec::new(),
        };
        let exact = exact.map(|Exact { pairs, most, thins, .. }| {
            let slack = some.as_ref().map_or(Slack::Margins(&margins), Slack::Coarse);
            Exact { pairs, rows: Some(short), slack, most, thins }
        });
        let mut lists = Candidates::new(short.len(), self.gallery.len(), all.k, exact);
        let skip = |query: usize, column: usize| self.exclude.hits(short[query], column);
        let found = Sweep::of_matrix(values, queries, self.gallery, skip).in_gallery(&mut lists);
        found.map_err(|stop| match stop {
            Stop::Overflow(row) => Stop::Overflow(short[row]),
            Stop::Given => Stop::Given,
        })?;
        lists.blocks(DECIDED).into_par_iter().for_each_init(Scratch::default, |keys, mut block| block.finish(keys));
        short.iter().enumerate().for_each(|(of, &query)| all.replace(query, &lists, of));
        Ok(())
    }
}

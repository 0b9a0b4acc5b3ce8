//! Ranks of the rows of a query's own class in the whole gallery, by counting what comes before them: no list is kept, however
//! far back a rank is.

mod counts;

use crate::pairwise::PairwiseSimilarity;
use crate::rows::Wide;
use crate::seen_from::center;
use crate::sweep::{Stop, Sweep};
use crate::tiles::{Matrix, Tiles, blocks};
use crate::unit::UnitSides;
use crate::{Element, Error, Exclude, Result, Rows};
use counts::{Counts, Target};
use npair_types::{ClassIndex, Labels, Measure};
use rayon::prelude::*;
use std::ops::Range;

/// Targets whose counts are kept at a time.
const TARGETS: usize = 1 << 23;

/// Of so many pairs one may be too near a target to be told in f32. A pair in f64 takes longer than the pair in a tile does;
/// with more of them the whole matrix in f64 is faster.
const UNSURE: usize = 32;

/// Queries of a task of what is done by query.
const QUERIES: usize = 168;

impl<T: Element> Rows<'_, T> {
    /// What `f` makes of the ranks that a query's own class has: `f` is given a row's number and the ranks (from 1,
    /// ascending) of the gallery rows of its class among all that `exclude` leaves it; equally near ones in the order of the
    /// gallery.
    ///
    /// The matrix is streamed once, and of a set searched in itself (the same slice on both sides) only half of it. Memory
    /// beside the results: a packed copy of the gallery, in pieces if it is larger than 128 MiB; for cosines one of each side;
    /// 24 bytes for every pair of one class, of at most 2^23 of which at a time.
    ///
    /// # Shapes
    /// `self` (Q, D) with Q labels, `gallery` (G, D) with G; Q results in the order of the rows.
    ///
    /// # Numerics
    /// Ranks are those of similarity in f64. For f32 the matrix is made in f32, and pairs that this cannot tell from a row of
    /// the class are compared once more in f64; where that is every 32nd of all pairs (rows that are nearly alike), or
    /// lengths are below 1e-12 or above 1e12, all is done in f64, in twice the time. The same for any number of threads.
    ///
    /// # Errors
    /// [`Error::Shape`] if widths, labels or the ids of `exclude` do not fit, or the gallery has more than `u32::MAX` rows;
    /// [`Error::Overflow`] if products of finite rows are not finite.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::{Exclude, Rows};
    /// # use npair_types::{Labels, Measure};
    /// let (points, classes) = ([0f32, 1., 4., 3., 9.], Labels::new([1, 1, 1, 2, 2])?);
    /// let rows = Rows::new(&points, 1)?;
    /// let (measure, sides) = (Measure::SquaredEuclidean, [&classes, &classes]);
    /// let ranks = rows.map_class_ranks(rows, measure, sides, Exclude::SameRow, |_, ranks| ranks.to_vec())?;
    /// assert_eq!(ranks[0], [1, 3]); // from 0: 1, then 3 of the other class, then 4
    /// assert_eq!(ranks[4], [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_class_ranks<R: Send>(
        self,
        gallery: Self,
        measure: Measure,
        labels: [&Labels; 2],
        exclude: Exclude,
        f: impl Fn(usize, &[usize]) -> R + Sync,
    ) -> Result<Vec<R>> {
        self.expect_width(&gallery)?;
        exclude.check(self.len(), gallery.len())?;
        let sizes = [self.len(), gallery.len()];
        if labels.iter().zip(sizes).any(|(labels, rows)| labels.len() != rows) || u32::try_from(sizes[1]).is_err() {
            let got = format!("{} and {}", labels[0].len(), labels[1].len());
            let want = format!("{} and {}, at most 4294967295", sizes[0], sizes[1]);
            return Err(Error::Shape { what: "labels of queries and gallery", got, want });
        }
        let classes = Classes::new(labels, exclude);
        if T::EPSILON > f64::EPSILON
            && classes.total() <= TARGETS
            && let Some(found) = classes.in_single(self, gallery, measure, UNSURE, &f)?
        {
            return Ok(found);
        }
        let wide = Wide::of(self, gallery);
        classes.in_double(wide.queries(), wide.gallery(), measure, TARGETS, &f)
    }
}

/// Which rows of the gallery are of a query's class.
struct Classes<'a> {
    /// The place of every query's class in `index`, if the gallery has it.
    places: Vec<Option<usize>>,
    index: ClassIndex,
    labels: [&'a Labels; 2],
    exclude: Exclude<'a>,
    /// Targets of every query.
    counts: Vec<usize>,
}

impl<'a> Classes<'a> {
    fn new(labels: [&'a Labels; 2], exclude: Exclude<'a>) -> Self {
        let index = ClassIndex::from_labels(labels[1]);
        let places = labels[0].as_slice().iter().map(|class| index.classes().binary_search(class).ok()).collect();
        let mut new = Self { places, index, labels, exclude, counts: Vec::new() };
        new.counts = (0..new.places.len()).map(|query| new.targets(query).count()).collect();
        new
    }

    fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The rows of a query's class that it sees.
    fn targets(&self, query: usize) -> impl Iterator<Item = usize> {
        let all = self.places[query].map_or(&[][..], |place| self.index.examples(place));
        all.iter().map(|row| row.0).filter(move |&row| !self.exclude.hits(query, row))
    }

    /// What is no target and yet not to be counted.
    fn skips(&self, query: usize, row: usize) -> bool {
        self.labels[0].get(query) == self.labels[1].get(row) || self.exclude.hits(query, row)
    }

    /// With products in `T` and pairs in f64 where those do not tell; nothing if that is no good way.
    fn in_single<T: Element, R: Send>(
        &self,
        queries: Rows<T>,
        gallery: Rows<T>,
        measure: Measure,
        unsure: usize,
        f: &(impl Fn(usize, &[usize]) -> R + Sync),
    ) -> Result<Option<Vec<R>>> {
        let pairs = PairwiseSimilarity::new(queries, gallery, measure);
        if measure != Measure::Cosine && !pairs.is_tame() {
            return Ok(None);
        }
        let skip = |query: usize, row: usize| self.skips(query, row);
        let unit = (measure == Measure::Cosine).then(|| UnitSides::of(queries, gallery));
        let sweep = match &unit {
            Some(unit) => Sweep::new(unit.queries(), unit.gallery(), Measure::Dot, skip),
            None => Sweep::new(queries, gallery, measure, skip),
        };
        let margins = pairs.margins(&sweep.tiles);
        let targets = |range: &Range<usize>| -> Vec<Target> {
            let of = |query| self.targets(query).map(move |row| (query, row));
            let near = |(query, row)| Target { similarity: pairs.similarity(query, row), row: row as u32 };
            range.clone().flat_map(of).map(near).collect()
        };
        let ranges = blocks(queries.len(), QUERIES);
        let targets: Vec<Target> = ranges.par_iter().map(targets).collect::<Vec<_>>().concat();
        let exact = |query: usize, row: usize| pairs.similarity(query, row);
        let limit = queries.len() * gallery.len() / unsure.max(1);
        let mut counts = Counts::new(0, &self.counts, targets, margins, Some((&exact, limit)));
        match sweep.run(&mut counts) {
            Ok(()) => Ok(Some(counts.map(f))),
            // Not finite in f32: f64 may reach further.
            Err(_) => Ok(None),
        }
    }

    /// With all in f64, and at most so many targets at a time.
    fn in_double<R: Send>(
        &self,
        queries: Rows<f64>,
        gallery: Rows<f64>,
        measure: Measure,
        most: usize,
        f: &(impl Fn(usize, &[usize]) -> R + Sync),
    ) -> Result<Vec<R>> {
        let mut results = Vec::with_capacity(queries.len());
        // One for all parts: the same pair has to have the same bits in each.
        let center = center(queries, gallery, measure);
        let view = (measure, center.as_deref());
        while results.len() < queries.len() {
            let start = results.len();
            // At least one query, however many targets it has.
            let mut sum = self.counts[start];
            let more = self.counts[start + 1..].iter().take_while(|&&count| {
                sum += count;
                sum <= most
            });
            let wave = start..start + 1 + more.count();
            let part = if wave.len() == queries.len() {
                queries
            } else {
                Rows::trusted(queries.range(wave.clone()), queries.width())
            };
            let targets = self.in_tiles(wave.clone(), queries, gallery, view)?;
            let margins = vec![0.; wave.len()];
            let mut counts = Counts::new(start, &self.counts[wave.clone()], targets, margins, None);
            let skip = |query: usize, row: usize| self.skips(start + query, row);
            let tiles = Tiles::seen_from(part, gallery, measure, center.as_deref());
            Sweep::of_tiles(tiles, part, gallery, skip).run(&mut counts).map_err(|stop| match stop {
                Stop::Overflow(row) => Error::Overflow { row: start + row, dtype: "f64" },
                Stop::Given => Error::Overflow { row: start, dtype: "f64" },
            })?;
            results.extend(counts.map(f));
        }
        Ok(results)
    }

    /// The targets of some queries, with the similarity that the tiles of the whole matrix have: an entry does not depend on
    /// what else is in its tile.
    fn in_tiles(
        &self,
        wave: Range<usize>,
        queries: Rows<f64>,
        gallery: Rows<f64>,
        (measure, center): (Measure, Option<&[f64]>),
    ) -> Result<Vec<Target>> {
        let width = queries.width();
        let mut own = vec![Vec::new(); self.index.len()];
        wave.clone().for_each(|query| own[self.places[query].unwrap_or(0)].push(query));
        let of_class = |(place, own): (usize, &Vec<usize>)| -> Vec<(usize, Target)> {
            let own: Vec<usize> = own.iter().copied().filter(|&query| self.places[query] == Some(place)).collect();
            let rows: Vec<usize> = self.index.examples(place).iter().map(|row| row.0).collect();
            let gathered = |side: Rows<f64>, of: &[usize]| of.iter().flat_map(|&i| side.row(i)).copied().collect();
            let (left, right): (Vec<f64>, Vec<f64>) = (gathered(queries, &own), gathered(gallery, &rows));
            let (left, right) = (Rows::trusted(&left, width), Rows::trusted(&right, width));
            let tiles = Tiles::seen_from(left, right, measure, center);
            let (packed, mut buffer, mut found) = (tiles.packed(0..rows.len()), Vec::new(), Vec::new());
            for part in blocks(own.len(), QUERIES) {
                tiles.tiles(part, 0, &packed, &mut buffer, |tile| {
                    for (at, line) in tile.lines() {
                        let seen =
                            tile.columns.clone().zip(line).map(|(column, &similarity)| (rows[column], similarity));
                        let seen = seen.filter(|&(row, _)| !self.exclude.hits(own[at], row));
                        found.extend(seen.map(|(row, similarity)| (own[at], Target { similarity, row: row as u32 })));
                    }
                });
            }
            found
        };
        let mut all: Vec<(usize, Target)> = own.par_iter().enumerate().flat_map_iter(of_class).collect();
        all.sort_by_key(|&(query, target)| (query, target.row));
        match all.iter().find(|(_, target)| !target.similarity.is_finite()) {
            Some(&(row, _)) => Err(Error::Overflow { row, dtype: "f64" }),
            None => Ok(all.into_iter().map(|(_, target)| target).collect()),
        }
    }
}

#[cfg(test)]
mod tests;

//! PairScores of single pairs in f64, and how far the streamed matrix may be from it.

use crate::seen_from::Moved;
use crate::tiles::{Tiles, is_tame};
use crate::{Element, Rows, product};
use npair_simd::vectorised;
use npair_types::Measure;
use rayon::prelude::*;

/// Partial sums that a loop keeps side by side, and where they are of the rows' own type.
const LANES: usize = 32;
const ROUGH: usize = 64;

vectorised! {
    /// The inner product, summed in f64.
    fn dot<S: Element, T: Element>(a: &[S], b: &[T]) -> f64 {
        let mut lanes = [0f64; LANES];
        // Of whole chunks the compiler keeps all sums in registers.
        let ((a, rest), (b, other)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES {
                lanes[i] += a[i].wide() * b[i].wide();
            }
        }
        for ((sum, x), y) in lanes.iter_mut().zip(rest).zip(other) {
            *sum += x.wide() * y.wide();
        }
        lanes.iter().fold(0., |a, b| a + b)
    }

    /// The squared distance, of differences in f64.
    pub(crate) fn squared_distance<S: Element, T: Element>(a: &[S], b: &[T]) -> f64 {
        let mut lanes = [0f64; LANES];
        let ((a, rest), (b, other)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..LANES {
                let difference = a[i].wide() - b[i].wide();
                lanes[i] += difference * difference;
            }
        }
        for ((sum, x), y) in lanes.iter_mut().zip(rest).zip(other) {
            let difference = x.wide() - y.wide();
            *sum += difference * difference;
        }
        lanes.iter().fold(0., |a, b| a + b)
    }

    /// The inner product, summed in the type of the rows.
    fn rough_dot<T: Element>(a: &[T], b: &[T]) -> T {
        let mut lanes = [T::ZERO; ROUGH];
        let ((a, rest), (b, other)) = (a.as_chunks::<ROUGH>(), b.as_chunks::<ROUGH>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..ROUGH {
                lanes[i] += a[i] * b[i];
            }
        }
        for ((sum, &x), &y) in lanes.iter_mut().zip(rest).zip(other) {
            *sum += x * y;
        }
        lanes.into_iter().sum()
    }

    /// The squared distance, of differences in the type of the rows.
    fn rough_distance<T: Element>(a: &[T], b: &[T]) -> T {
        let mut lanes = [T::ZERO; ROUGH];
        let ((a, rest), (b, other)) = (a.as_chunks::<ROUGH>(), b.as_chunks::<ROUGH>());
        for (a, b) in a.iter().zip(b) {
            for i in 0..ROUGH {
                let difference = a[i] - b[i];
                lanes[i] += difference * difference;
            }
        }
        for ((sum, &x), &y) in lanes.iter_mut().zip(rest).zip(other) {
            let difference = x - y;
            *sum += difference * difference;
        }
        lanes.into_iter().sum()
    }
}

/// PairScores of single pairs of two sides, in f64 whatever their type: entries of the matrix that have to be right to the
/// last digits, and those that nobody needs more than a few of.
///
/// # Examples
/// ```
/// # use npair_similarity::{PairwiseSimilarity, Rows};
/// # use npair_types::Measure;
/// let rows = Rows::new(&[1f32, 0., 3., 4.], 2)?;
/// let near = PairwiseSimilarity::new(rows, rows, Measure::Cosine);
/// assert!((near.similarity(0, 1) - 0.6).abs() < 1e-15 && (near.similarity(1, 1) - 1.).abs() < 1e-15);
/// # Ok::<(), npair_similarity::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PairwiseSimilarity<'a, T> {
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    measure: Measure,
    /// The sides at another scale, for cosines of rows whose squares f64 does not hold.
    scaled: Option<Moved<T>>,
    /// |row|^2 of the sides that are compared
    query_squares: Vec<f64>,
    gallery_squares: Vec<f64>,
}

impl<'a, T: Element> PairwiseSimilarity<'a, T> {
    /// Of two sides of one width.
    pub fn new(queries: Rows<'a, T>, gallery: Rows<'a, T>, measure: Measure) -> Self {
        let squares = |side: Rows<T>| -> Vec<f64> {
            (0..side.len()).into_par_iter().map(|i| dot(side.row(i), side.row(i))).collect()
        };
        let [query_squares, gallery_squares] = [queries, gallery].map(squares);
        let plain = Self { queries, gallery, measure, scaled: None, query_squares, gallery_squares };
        // Squares of f32 are numbers in f64.
        let single = T::EPSILON > f64::EPSILON;
        let fine = |squares: &[f64], side: Rows<T>| squares.iter().zip(0..).all(|(&s, i)| is_tame(s, side.row(i)));
        if measure != Measure::Cosine
            || single
            || fine(&plain.query_squares, queries) && fine(&plain.gallery_squares, gallery)
        {
            return plain;
        }
        let scaled = Moved::to_scale(queries, gallery);
        let [query_squares, gallery_squares] =
            [scaled.queries(), scaled.gallery()].map(|side| squares(Rows::trusted(side, queries.width())));
        Self { scaled: Some(scaled), query_squares, gallery_squares, ..plain }
    }

    /// Of a query and a row of the gallery; a zero row has the cosine 0 with every row, and one of the same direction to the last
    /// bit has 1.
    ///
    /// # Panics
    /// If a side does not have the row, as for slices.
    pub fn similarity(&self, query: usize, row: usize) -> f64 {
        self.similarity_of(self.query_row(query), query, row)
    }

    /// The same of a query whose entries are known, in f64 perhaps: the same bits.
    pub(crate) fn similarity_of<S: Element>(&self, entries: &[S], query: usize, row: usize) -> f64 {
        let (a, b) = (entries, self.gallery_row(row));
        match self.measure {
            Measure::Dot => dot(a, b),
            Measure::SquaredEuclidean => -squared_distance(a, b),
            Measure::Cosine => cosine(dot(a, b), self.query_squares[query], self.gallery_squares[row]),
        }
    }

    /// A query's entries in f64.
    pub(crate) fn widen(&self, query: usize, to: &mut Vec<f64>) {
        to.clear();
        to.extend(self.query_row(query).iter().map(|v| v.wide()));
    }

    /// What a similarity is not below and not above, by sums in `T`, of [tame](Self::is_tame) sides.
    ///
    /// A lane of `ROUGH` has n / `ROUGH` + 1 products, each of which is rounded with those that come after it in the lane and in the sum
    /// of the lanes: so many roundings of a share of the product of the lengths, or, where all summands are positive, of the sum.
    /// Differences are rounded too, before they are squared. What is lost at the lower end of f32 is nothing beside that product,
    /// and less than 1e-38 of a squared distance.
    pub(crate) fn bounds(&self, query: usize, row: usize) -> [f64; 2] {
        let (a, b) = (self.query_row(query), self.gallery_row(row));
        let unit = T::EPSILON / 2.;
        let share = 1.02 * unit * (a.len() / ROUGH + ROUGH + 8) as f64;
        let lengths = (self.query_squares[query] * self.gallery_squares[row]).sqrt();
        let (value, margin) = match self.measure {
            Measure::Dot => (rough_dot(a, b).wide(), share * lengths),
            Measure::Cosine if lengths > 0. => (rough_dot(a, b).wide() / lengths, share),
            Measure::Cosine => (0., 0.),
            Measure::SquaredEuclidean => {
                let distance = rough_distance(a, b).wide();
                (-distance, share * distance + 1e-38)
            }
        };
        [value - margin, value + margin]
    }

    fn query_row(&self, query: usize) -> &[T] {
        let width = self.queries.width();
        self.scaled
            .as_ref()
            .map_or_else(|| self.queries.row(query), |scaled| &scaled.queries()[query * width..][..width])
    }

    fn gallery_row(&self, row: usize) -> &[T] {
        let width = self.gallery.width();
        self.scaled.as_ref().map_or_else(|| self.gallery.row(row), |scaled| &scaled.gallery()[row * width..][..width])
    }

    /// Asks for a row of the gallery that is compared soon.
    pub(crate) fn fetch(&self, row: usize) {
        npair_simd::fetch(self.gallery_row(row));
    }

    /// Rows of the gallery of about so many bytes, one at least.
    pub(crate) fn rows_of(&self, bytes: usize) -> usize {
        (bytes / (self.gallery.width() * size_of::<T>())).max(1)
    }

    /// Whether products of these rows are as exact in `T` as [`margins`](Self::margins) says: none leaves the range of `T`,
    /// and what is lost at its lower end is nothing beside the margins.
    pub(crate) fn is_tame(&self) -> bool {
        self.wild_query().is_none()
    }

    /// The first query of which that is not so; the first one if it is a row of the gallery.
    pub(crate) fn wild_query(&self) -> Option<usize> {
        let query = self.query_squares.iter().position(|&s| !tame(s));
        query.or_else(|| (!tame(longest(&self.gallery_squares))).then_some(0))
    }

    /// Whether every row of the gallery is so by itself: bounds for each row know of nothing that is lost at the lower end.
    pub(crate) fn rows_are_tame(&self) -> bool {
        self.gallery_squares.iter().all(|&square| tame(square))
    }

    /// For every query, how far an entry that the tiles sum in `T` is from [`similarity`](Self::similarity) at most.
    ///
    /// A sum of n products in order is off by n u of the sum of their magnitudes at most, with the unit roundoff u; that sum
    /// is at most the product of the lengths. A row that is seen from elsewhere is off by u of its length there.
    pub(crate) fn margins(&self, tiles: &Tiles<T>) -> Vec<f64> {
        let unit = T::EPSILON / 2.;
        let product = 1.02 * unit * product::roundings(self.queries.width()) as f64;
        let own = ([&self.query_squares[..], &self.gallery_squares[..]], false);
        let ([queries, gallery], moved) = if self.measure == Measure::SquaredEuclidean { tiles.squares() } else { own };
        let longest = longest(gallery).sqrt();
        let margin = |&square: &f64| match self.measure {
            Measure::Dot => product * square.sqrt() * longest,
            Measure::Cosine => product + 4. * unit,
            // Twice the product, then rounded itself: it is at most the squared sum of the lengths.
            Measure::SquaredEuclidean => {
                let roundings = if moved { 5. } else { 2. };
                2. * product * square.sqrt() * longest + roundings * unit * (square.sqrt() + longest).powi(2)
            }
        };
        queries.iter().map(margin).collect()
    }
}

/// Lengths from 1e-12 to 1e12, or 0: products of such rows and their roundings are far from both ends of f32.
fn tame(square: f64) -> bool {
    square == 0. || (1e-24..=1e24).contains(&square)
}

/// The largest square.
fn longest(squares: &[f64]) -> f64 {
    squares.iter().fold(0f64, |m, &s| m.max(s))
}

/// Rows of a task of what is done row by row.
const TASK: usize = 256;

impl<T: Element> Rows<'_, T> {
    /// Lowers every number to the squared distance, in f64, of its row to a point, where that is less.
    ///
    /// # Shapes
    /// `self` (Q, D), `point` D, `distances` Q.
    pub fn lower_to_distances(self, point: &[T], distances: &mut [f64]) {
        distances.par_chunks_mut(TASK).enumerate().for_each(|(at, part)| {
            for (i, least) in part.iter_mut().enumerate() {
                *least = least.min(squared_distance(self.row(at * TASK + i), point));
            }
        });
    }
}

/// The cosine by the inner product and both squares: of a row with itself it is 1, whatever is rounded.
fn cosine(product: f64, row: f64, column: f64) -> f64 {
    let both = row * column;
    // Where the product of the squares is no number, their roots have one.
    let lengths = if (1e-290..=1e290).contains(&both) { both.sqrt() } else { row.sqrt() * column.sqrt() };
    if lengths > 0. { (product / lengths).clamp(-1., 1.) } else { 0. }
}

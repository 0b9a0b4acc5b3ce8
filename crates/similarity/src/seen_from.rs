//! Sides seen from elsewhere, so that products keep their digits: squared distances from a point amid the rows, cosines at another
//! scale.

use crate::{Element, Rows};
use npair_types::Measure;
use rayon::prelude::*;

/// Rows of a side that the point is found by.
const SAMPLE: usize = 256;

/// Sides are moved where the point is farther from the origin than so many times the spread around it, both squared: nearer,
/// little would be gained.
const FAR: f64 = 4.;
const NEAR: f64 = 1. / 8.;

/// Both sides as products take them, where that is not as they came.
#[derive(Debug, Clone)]
pub(crate) struct Moved<T> {
    queries: Vec<T>,
    /// None if the gallery is the queries.
    gallery: Option<Vec<T>>,
}

impl<T: Element> Moved<T> {
    /// Seen from `center`.
    pub(crate) fn from(queries: Rows<T>, gallery: Rows<T>, center: &[T]) -> Self {
        Self::by_row(queries, gallery, |row, out| {
            out.iter_mut().zip(row.iter().zip(center)).for_each(|(out, (v, c))| *out = T::narrow(v.wide() - c.wide()));
        })
    }

    /// Every row by a power of two of its own, so that its largest entry is from 1 to 2: no cosine changes.
    pub(crate) fn to_scale(queries: Rows<T>, gallery: Rows<T>) -> Self {
        Self::by_row(queries, gallery, |row, out| {
            let largest = row.iter().fold(0f64, |most, v| most.max(v.wide().abs()));
            // In two steps, each of which is a number; of a zero row nothing changes.
            let half = if largest > 0. { (-largest.log2().floor() / 2.).floor() } else { 0. };
            let rest = if largest > 0. { -largest.log2().floor() - half } else { 0. };
            let scale = |v: f64| v * half.exp2() * rest.exp2();
            out.iter_mut().zip(row).for_each(|(out, v)| *out = T::narrow(scale(v.wide())));
        })
    }

    fn by_row(queries: Rows<T>, gallery: Rows<T>, f: impl Fn(&[T], &mut [T]) + Sync) -> Self {
        let width = queries.width();
        let of = |side: Rows<T>| {
            let mut out = vec![T::ZERO; side.as_slice().len()];
            out.par_chunks_mut(width).enumerate().with_min_len(64).for_each(|(i, out)| f(side.row(i), out));
            out
        };
        let itself = std::ptr::eq(queries.as_slice(), gallery.as_slice());
        Self { queries: of(queries), gallery: (!itself).then(|| of(gallery)) }
    }

    pub(crate) fn queries(&self) -> &[T] {
        &self.queries
    }

    pub(crate) fn gallery(&self) -> &[T] {
        self.gallery.as_deref().unwrap_or(&self.queries)
    }
}

/// What products of two sides have to be seen from under a measure, if not from where they are.
pub(crate) fn center<T: Element>(queries: Rows<T>, gallery: Rows<T>, measure: Measure) -> Option<Vec<T>> {
    (measure == Measure::SquaredEuclidean).then(|| amid(&[queries, gallery], FAR)).flatten()
}

/// The same for products whose error grows with the lengths of rows: whatever the measure, and where that saves little.
pub(crate) fn near_center<T: Element>(queries: Rows<T>, gallery: Rows<T>) -> Option<Vec<T>> {
    amid(&[queries, gallery], NEAR)
}

/// A point amid the rows, if it is so far from the origin beside their spread, both squared. It lies on a grid about as fine as the spread, so that
/// sides of whole numbers stay such.
fn amid<T: Element>(sides: &[Rows<T>; 2], far: f64) -> Option<Vec<T>> {
    let width = sides[0].width();
    let rows: Vec<&[T]> = sides.iter().flat_map(|side| sample(*side)).collect();
    let mut mean = vec![0f64; width];
    rows.iter().for_each(|row| mean.iter_mut().zip(*row).for_each(|(m, v)| *m += v.wide()));
    mean.iter_mut().for_each(|m| *m /= rows.len() as f64);
    let squares = |row: &&[T]| row.iter().zip(&mean).map(|(v, m)| (v.wide() - m).powi(2)).sum::<f64>();
    let spread = rows.iter().map(squares).sum::<f64>() / rows.len() as f64;
    let length = mean.iter().map(|m| m * m).sum::<f64>();
    // Of no rows, and of rows that are not finite, there is none.
    if !(length > far * spread && length.is_finite()) {
        return None;
    }
    let step = (spread / width as f64).sqrt().log2().floor().exp2();
    let on_grid = |m: f64| if step > 0. && (m / step).is_finite() { (m / step).round() * step } else { m };
    Some(mean.into_iter().map(|m| T::narrow(on_grid(m))).collect())
}

/// Some rows of a side, evenly from all of it.
fn sample<'a, T: Element>(side: Rows<'a, T>) -> impl Iterator<Item = &'a [T]> {
    let (n, count) = (side.len(), side.len().min(SAMPLE));
    (0..count).map(move |i| side.row(i * n / count))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_rows_far_from_the_origin_are_seen_from_elsewhere() {
        let near = [3f64, -1., 0., 2., 1., 1.];
        let rows = Rows::trusted(&near, 2);
        assert_eq!(center(rows, rows, Measure::SquaredEuclidean), None);
        let far = near.map(|v| v + 1e6);
        let rows = Rows::trusted(&far, 2);
        let found = center(rows, rows, Measure::SquaredEuclidean).unwrap();
        assert!(found.iter().all(|c| (c - 1e6).abs() < 4. && c.fract() == 0.), "{found:?}");
        assert_eq!(center(rows, rows, Measure::Dot), None);
        let moved = Moved::from(rows, rows, &found);
        let back: Vec<f64> = moved.gallery().chunks(2).flat_map(|row| [row[0] + found[0], row[1] + found[1]]).collect();
        assert_eq!(back, far);
        // All alike, none, and no numbers.
        let alike = [7f32; 6];
        let rows = Rows::trusted(&alike, 2);
        assert_eq!(center(rows, rows, Measure::SquaredEuclidean), Some(vec![7.; 2]));
        let none = Rows::trusted(&[], 2);
        assert_eq!(center::<f32>(none, none, Measure::SquaredEuclidean), None);
        let bad = [f32::NAN, 1e10];
        assert_eq!(center(Rows::trusted(&bad, 2), none, Measure::SquaredEuclidean), None);
    }

    #[test]
    fn rows_of_any_length_come_to_one_scale() {
        let rows = [1e-320f64, -3e-320, 0., 0., 1.5e308, 1e300, 5., 3.];
        let rows = Rows::trusted(&rows, 2);
        let moved = Moved::to_scale(rows, rows);
        let largest = moved.queries().chunks(2).map(|row| row[0].abs().max(row[1].abs())).collect::<Vec<_>>();
        assert!(largest.iter().all(|&l| l == 0. || (1. ..2.).contains(&l)), "{largest:?}");
        assert_eq!(moved.queries()[6..], [1.25, 0.75]);
    }
}

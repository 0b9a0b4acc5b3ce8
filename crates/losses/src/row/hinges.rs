use super::{Row, RowTerms};
use crate::Reducer;
use npair_similarity::Element;

/// Terms of pairs of one class from a distance on, `d - near`, and of pairs of two classes up to another, `far - d`.
pub(crate) struct Hinges<T> {
    near: T,
    far: T,
    reducer: Reducer,
}

impl<T: Element> Hinges<T> {
    pub(crate) fn new(near: f64, far: f64, reducer: Reducer) -> Self {
        Self { near: T::narrow(near), far: T::narrow(far), reducer }
    }

    /// The terms of a row: of its positives and of its negatives.
    pub(crate) fn terms(&self, row: Row<'_, T>) -> [RowTerms; 2] {
        let distances = row.entries();
        let near = |p: &[T]| RowTerms::kept(p, self.reducer, |d| d - self.near);
        let far = |n: &[T]| RowTerms::kept(n, self.reducer, |d| self.far - d);
        let positives = row.positives().map(|p| near(&distances[p..=p]));
        let negatives = row.negative_ranges().into_iter().map(|range| far(&distances[range]));
        [positives.fold(RowTerms::default(), RowTerms::join), negatives.fold(RowTerms::default(), RowTerms::join)]
    }

    /// The gradient of a row whose terms are multiplied by one factor for positives and one for negatives, the latter below 0.
    pub(crate) fn gradient(&self, row: Row<'_, T>, gradient: &mut [T], by: [f64; 2]) {
        let (low, high) = self.reducer.limits();
        let (low, high) = (T::narrow(low), T::narrow(high));
        let [by_near, by_far] = by.map(T::narrow);
        let kept = |term: T, by: T| if low < term && term < high { by } else { T::ZERO };
        let distances = row.entries();
        gradient.iter_mut().zip(distances).for_each(|(s, &d)| *s = kept(self.far - d, by_far));
        row.keep_negatives(gradient, T::ZERO);
        row.positives().for_each(|p| gradient[p] = kept(distances[p] - self.near, by_near));
    }
}

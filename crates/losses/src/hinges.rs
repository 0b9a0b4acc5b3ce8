use crate::Reducer;
use crate::positives::gaps;
use crate::reducer::Tally;
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

    /// The terms of row `i` of class `own`: of its positives and of its negatives.
    pub(crate) fn tallies(&self, own: &[usize], i: usize, distances: &[T]) -> [Tally; 2] {
        let near = |p: &[T]| Tally::of(p, self.reducer, |d| d - self.near);
        let far = |n: &[T]| Tally::of(n, self.reducer, |d| self.far - d);
        let positives = own.iter().filter(|&&p| p != i).map(|&p| near(&distances[p..=p]));
        let negatives = gaps(own, distances.len()).map(|gap| far(&distances[gap]));
        [positives.fold(Tally::default(), Tally::join), negatives.fold(Tally::default(), Tally::join)]
    }

    /// The slopes of a row whose terms are multiplied by one factor for positives and one for negatives, the latter below 0.
    pub(crate) fn slopes(&self, own: &[usize], i: usize, distances: &[T], slope: &mut [T], by: [f64; 2]) {
        let (low, high) = self.reducer.limits();
        let (low, high) = (T::narrow(low), T::narrow(high));
        let [by_near, by_far] = by.map(T::narrow);
        let kept = |term: T, by: T| if low < term && term < high { by } else { T::ZERO };
        slope.iter_mut().zip(distances).for_each(|(s, &d)| *s = kept(self.far - d, by_far));
        own.iter().for_each(|&p| slope[p] = kept(distances[p] - self.near, by_near));
        slope[i] = T::ZERO;
    }
}

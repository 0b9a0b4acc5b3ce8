use crate::Result;
use crate::setting::{from_zero, within};
use npair_similarity::Element;
use npair_types::{ClassId, Labels};
use std::collections::BTreeMap;

/// How the terms of a hinged loss become one number.
///
/// ```text
/// Mean           1/T sum t                    MeanPerAnchor   1/A  sum_a  1/T_a sum t of a
/// MeanOfNonZero  1/|t > 0| sum t              MeanPerClass    1/C  sum_c  1/T_c sum t of c's anchors
/// Sum            sum t                        MeanWithin      1/|low < t < high| sum of those
/// ```
/// # Source
/// pytorch-metric-learning's `MeanReducer`, `AvgNonZeroReducer`, `SumReducer`, `PerAnchorReducer` and `ThresholdReducer`; the
/// mean by class is its `ClassWeightedReducer` with the weights that make all classes count the same.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Reducer {
    /// The mean over all terms: satisfied ones count as 0, so the gradient fades as the model learns.
    Mean,
    /// The mean over the terms above 0, 0 if there is none.
    #[default]
    MeanOfNonZero,
    /// The sum, so that a large batch takes a large step.
    Sum,
    /// The mean over the anchors that have terms of the means of their terms: an anchor with many terms counts no more.
    MeanPerAnchor,
    /// The mean over the classes of anchors of the means of their terms: a class with many examples counts no more.
    MeanPerClass,
    /// The mean over the terms within a band, 0 if there is none: neither too easy nor hopeless.
    MeanWithin(Band),
}

/// The terms that [`Reducer::MeanWithin`] takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    low: f64,
    high: f64,
}

impl Band {
    /// Terms above `low` >= 0 and below `high` > `low`, which may be infinite.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a limit is out of range.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        let low = from_zero("the lower limit of the terms", low)?;
        Ok(Self { low, high: within("the upper limit of the terms", high, high > low, "above the lower one")? })
    }
}

/// The terms of one anchor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Sum of those that are kept.
    pub(crate) sum: f64,
    /// Number of all.
    pub(crate) terms: usize,
    /// Number of those that are kept.
    pub(crate) active: usize,
}

impl Tally {
    /// Of every entry of a line the term that `f` makes of it.
    pub(crate) fn of<T: Element>(line: &[T], reducer: Reducer, f: impl Fn(T) -> T) -> Self {
        const LANES: usize = 16;
        let (low, high) = reducer.limits();
        let (low, high) = (T::narrow(low), T::narrow(high));
        // Sums and numbers side by side.
        let (mut sums, mut active) = ([0f64; LANES], [0u32; LANES]);
        for chunk in line.chunks(LANES) {
            for ((sum, active), &entry) in sums.iter_mut().zip(&mut active).zip(chunk) {
                let term = f(entry);
                let kept = low < term && term < high;
                *sum += if kept { term.wide() } else { 0. };
                *active += u32::from(kept);
            }
        }
        let active = active.iter().map(|&n| n as usize).sum();
        Self { sum: sums.iter().sum(), terms: line.len(), active }
    }

    pub(crate) fn join(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, terms: self.terms + other.terms, active: self.active + other.active }
    }

    /// Those of all anchors.
    pub(crate) fn total(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, &tally| sum.join(tally))
    }
}

impl Reducer {
    /// The limits between which a term is kept: beyond them it has neither value nor slope.
    pub(crate) fn limits(self) -> (f64, f64) {
        match self {
            Self::MeanWithin(band) => (band.low, band.high),
            _ => (0., f64::INFINITY),
        }
    }

    /// Whether a term is kept.
    pub(crate) fn keeps(self, term: f64) -> bool {
        let (low, high) = self.limits();
        low < term && term < high
    }

    /// What the sum of all terms, or of those of one group, is multiplied by.
    pub(crate) fn factor(self, terms: usize, active: usize) -> f64 {
        let over = match self {
            Self::Sum => return 1.,
            Self::Mean | Self::MeanPerAnchor | Self::MeanPerClass => terms,
            Self::MeanOfNonZero | Self::MeanWithin(_) => active,
        };
        if over == 0 { 0. } else { 1. / over as f64 }
    }

    /// The value of the terms of all anchors, whose classes are the first of `labels`, and what the terms of each anchor were
    /// multiplied by.
    pub(crate) fn reduce(self, tallies: &[Tally], labels: &Labels) -> (f64, Vec<f64>) {
        let grouped: Vec<ClassId> = match self {
            Self::MeanPerClass => labels.as_slice()[..tallies.len()].to_vec(),
            // Every anchor is a group of its own, or all are one.
            Self::MeanPerAnchor => (0..tallies.len()).map(|i| ClassId(i as u32)).collect(),
            _ => vec![ClassId(0); tallies.len()],
        };
        let mut groups = BTreeMap::<ClassId, Tally>::new();
        for (&group, &tally) in grouped.iter().zip(tallies) {
            let sum = groups.entry(group).or_default();
            *sum = sum.join(tally);
        }
        let with_terms = groups.values().filter(|tally| tally.terms > 0).count().max(1) as f64;
        let factor = |tally: &Tally| self.factor(tally.terms, tally.active) / with_terms;
        let value = groups.values().map(|tally| tally.sum * factor(tally)).sum();
        (value, grouped.iter().map(|group| groups.get(group).map_or(0., factor)).collect())
    }
}

use super::RowTerms;
use crate::Result;
use crate::setting::{from_zero, within};
use npair_similarity::Element;
use npair_types::{ClassId, Labels};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the terms of a hinged loss become one number.
///
/// ```text
/// Mean           1/T sum t                    MeanPerAnchor   1/A  sum_a  1/T_a sum t of a
/// MeanOfNonZero  1/|t > 0| sum t              MeanPerClass    1/C  sum_c  1/T_c sum t of c's anchors
/// Sum            sum t                        MeanWithin      1/|low < t < high| sum of those
/// ```
/// In settings: `reducer = "mean-of-non-zero"`, and `reducer = { mean-within = { low = 0.1, high = inf } }`.
///
/// # Source
/// pytorch-metric-learning's `MeanReducer`, `AvgNonZeroReducer`, `SumReducer`, `PerAnchorReducer` and `ThresholdReducer`; the
/// mean by class is its `ClassWeightedReducer` with the weights that make all classes count the same.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Limits")]
pub struct Band {
    low: f64,
    high: f64,
}

/// A band as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    low: f64,
    high: f64,
}

impl TryFrom<Limits> for Band {
    type Error = crate::Error;

    fn try_from(Limits { low, high }: Limits) -> Result<Self> {
        Self::new(low, high)
    }
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

impl RowTerms {
    /// Of every entry of a line the term that `f` makes of it, if the reducer keeps it.
    pub(crate) fn kept<T: Element>(line: &[T], reducer: Reducer, f: impl Fn(T) -> T) -> Self {
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

    /// The factor of the sum of all terms, or of those of one group.
    pub(crate) fn factor(self, terms: usize, active: usize) -> f64 {
        let over = match self {
            Self::Sum => return 1.,
            Self::Mean | Self::MeanPerAnchor | Self::MeanPerClass => terms,
            Self::MeanOfNonZero | Self::MeanWithin(_) => active,
        };
        if over == 0 { 0. } else { 1. / over as f64 }
    }

    /// The value of the terms of all rows, whose classes are the first of `labels`, and what the terms of each row were
    /// multiplied by.
    pub(crate) fn reduce(self, rows: &[RowTerms], labels: &Labels) -> (f64, Vec<f64>) {
        let grouped: Vec<ClassId> = match self {
            Self::MeanPerClass => labels.as_slice()[..rows.len()].to_vec(),
            // Every anchor is a group of its own, or all are one.
            Self::MeanPerAnchor => (0..rows.len()).map(|i| ClassId(i as u32)).collect(),
            _ => vec![ClassId(0); rows.len()],
        };
        let mut groups = BTreeMap::<ClassId, RowTerms>::new();
        for (&group, &terms) in grouped.iter().zip(rows) {
            let sum = groups.entry(group).or_default();
            *sum = sum.join(terms);
        }
        let with_terms = groups.values().filter(|group| group.terms > 0).count().max(1) as f64;
        let factor = |group: &RowTerms| self.factor(group.terms, group.active) / with_terms;
        let value = groups.values().map(|group| group.sum * factor(group)).sum();
        (value, grouped.iter().map(|group| groups.get(group).map_or(0., factor)).collect())
    }
}

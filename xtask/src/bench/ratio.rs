//! What pairs of measurements say.

use serde::Serialize;

/// Times of one request, by side, in the order in which they were taken: entry i of all sides belongs together.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Times {
    pub ours: Vec<f64>,
    pub theirs: Vec<f64>,
}

/// Ours over theirs: below 1 we take less.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// The least of ours over the least of theirs: what a busy machine disturbs least.
    pub of_least: f64,
}

impl Times {
    /// Of the ratios of what belongs together.
    pub fn ratio(&self) -> Ratio {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.theirs).map(|(a, b)| a / b).collect();
        let (least, most) = ratios.iter().fold((f64::INFINITY, 0f64), |(l, m), r| (l.min(*r), m.max(*r)));
        let smallest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let of_least = smallest(&self.ours) / smallest(&self.theirs);
        Ratio { median: median(&ratios), least, most, of_least }
    }
}

/// The middle one, or the mean of the two in the middle; not a number for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_what_was_measured_together() {
        // The machine slowed down by half between the pairs: the ratio does not see it.
        let times = Times { ours: vec![1., 2., 3.], theirs: vec![2., 4., 4.] };
        assert_eq!(times.ratio(), Ratio { median: 0.5, least: 0.5, most: 0.75, of_least: 0.5 });
        assert_eq!((median(&[3., 1.]), median(&[5., 1., 2.])), (2., 2.));
        assert!(median(&[]).is_nan());
    }
}

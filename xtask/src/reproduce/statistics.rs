use serde::Serialize;
use std::fmt;

/// A mean over seeds with its standard error, s / sqrt(n) with the sample's s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    pub value: f64,
    /// None of a single value.
    pub error: Option<f64>,
}

impl Mean {
    /// `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
        let error = (values.len() > 1).then(|| (squares / (n - 1.) / n).sqrt());
        (!values.is_empty()).then_some(Self { value, error })
    }

    /// A number that is known.
    pub fn exact(value: f64) -> Self {
        Self { value, error: Some(0.) }
    }
}

/// What measurements say about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    Holds,
    DoesNotHold,
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Holds => "HOLDS",
            Self::DoesNotHold => "DOES NOT HOLD",
            Self::Undecided => "UNDECIDED",
        })
    }
}

impl Verdict {
    /// Of a claim with several parts: all have to hold.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::Holds;
        for part in parts {
            match part {
                Self::DoesNotHold => return part,
                Self::Undecided => whole = part,
                Self::Holds => {}
            }
        }
        whole
    }
}

/// `a - b`, with its standard error and whether it is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    pub value: f64,
    pub error: Option<f64>,
    pub verdict: Verdict,
}

/// How many standard errors a difference has to be away from 0 to decide anything.
pub const SURE: f64 = 2.;

impl Difference {
    /// Decided beyond two standard errors of the difference, those of both sides added in squares; with a single seed never.
    pub fn of(a: Mean, b: Mean) -> Self {
        let value = a.value - b.value;
        let error = a.error.zip(b.error).map(|(a, b)| a.hypot(b));
        let verdict = match error {
            Some(error) if value > SURE * error => Verdict::Holds,
            Some(error) if value < -SURE * error => Verdict::DoesNotHold,
            _ => Verdict::Undecided,
        };
        Self { value, error, verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_have_standard_errors() {
        // 1, 2, 3: s^2 = (1 + 0 + 1) / 2 = 1, so s / sqrt(3) = 0.5774.
        let mean = Mean::of(&[1., 2., 3.]).unwrap();
        assert_eq!(mean.value, 2.);
        assert!((mean.error.unwrap() - 1. / 3f64.sqrt()).abs() < 1e-15);
        assert_eq!(Mean::of(&[5.]), Some(Mean { value: 5., error: None }));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn two_standard_errors_decide() {
        let mean = |value, error| Mean { value, error: Some(error) };
        // The error of the difference is hypot(3, 4) = 5.
        let verdict = |a: f64| Difference::of(mean(a, 3.), mean(100., 4.)).verdict;
        assert_eq!(verdict(110.1), Verdict::Holds);
        assert_eq!(verdict(109.9), Verdict::Undecided);
        assert_eq!(verdict(90.1), Verdict::Undecided);
        assert_eq!(verdict(89.9), Verdict::DoesNotHold);
        assert_eq!(Difference::of(Mean { value: 9., error: None }, mean(1., 0.)).verdict, Verdict::Undecided);
        assert_eq!(Difference::of(mean(1., 0.), mean(1., 0.)).verdict, Verdict::Undecided);
    }

    #[test]
    fn the_worst_part_decides() {
        use Verdict::{DoesNotHold, Holds, Undecided};
        assert_eq!(Verdict::all([Holds, Holds]), Holds);
        assert_eq!(Verdict::all([Undecided, Holds]), Undecided);
        assert_eq!(Verdict::all([Undecided, DoesNotHold, Holds]), DoesNotHold);
    }
}
